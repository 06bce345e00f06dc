"""How alike two items are: by their CF vectors where both have one, else by their titles."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import HashingVectorizer

from corarec.types import FloatArray


@cache
def _letters() -> HashingVectorizer:
    return HashingVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), n_features=2**18, alternate_sign=False
    )


def title_vectors(titles: Sequence[str]) -> Any:
    """Return titles as counts of their runs of 3 to 5 letters, of length one: [N, 2^18], sparse."""
    return _letters().transform(titles)


class Likeness:
    """How alike items are, from 0 to 1.

    Parameters
    ----------
    vectors
        [N, d] CF vectors of items, zero where there is none.
    titles
        [N]
    """

    def __init__(self, vectors: FloatArray, titles: Sequence[str]) -> None:
        sizes = np.linalg.norm(vectors, axis=1) if vectors.size else np.zeros(len(titles))
        self._known = sizes > 0
        self._directions = vectors / np.where(self._known, sizes, 1)[:, None]
        self._titles = title_vectors(titles) if len(titles) else None

    def to(self, place: int) -> FloatArray:
        """Return how alike each item is to the one at a place: [N]."""
        assert self._titles is not None, "there is an item at that place"
        alike = np.clip(self._directions @ self._directions[place], 0, 1)
        by_title = ~self._known if self._known[place] else slice(None)
        alike[by_title] = self._titles[by_title] @ self._titles[place].toarray().ravel()
        return np.asarray(alike)


def arranged(
    scores: FloatArray, likeness: Likeness | None, count: int, diversity: float
) -> list[int]:
    """Return the places of the `count` best items, one after the other: maximal marginal relevance.

    Each next item is the one with the largest `(1 - diversity) s - diversity max(likeness to those
    chosen)`, `s` its score between the lowest (0) and the highest (1) of all. Without diversity
    that is the order of scores; of equal ones the first comes first.
    """
    order = np.argsort(-scores, kind="stable")
    if likeness is None or diversity == 0 or len(scores) < 2:
        return [int(place) for place in order[:count]]
    span = float(scores.max() - scores.min())
    worth = (1 - diversity) * (scores - scores.min()) / (span if span > 0 else 1.0)
    nearest, chosen = np.zeros(len(scores)), [int(order[0])]
    free = np.ones(len(scores), dtype=np.bool_)
    free[chosen[0]] = False
    while len(chosen) < min(count, len(scores)):
        nearest = np.maximum(nearest, likeness.to(chosen[-1]))
        gain = np.where(free, worth - diversity * nearest, -np.inf)
        best = int(order[np.argmax(gain[order])])
        free[best] = False
        chosen.append(best)
    return chosen
