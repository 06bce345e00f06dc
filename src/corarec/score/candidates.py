"""Which items are worth scoring for one person: those that CF likes best, and new ones by text."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from corarec.cf import VectorSource
from corarec.data import Catalogue
from corarec.score.context import Context
from corarec.score.joined import JoinedRanking, signals
from corarec.score.likeness import title_vectors
from corarec.score.recommend import candidate_order
from corarec.types import BoolArray, FloatArray, IntArray

NEW_SHARE = 0.1
"""Of the candidates, kept for items that CF does not know, so that a new one can ever be shown."""
LATEST = 1_000
"""New items that are looked at, the latest."""
READ = 20
"""Liked titles that a new one is held against, the last."""


class Candidates(NamedTuple):
    """Items to be scored."""

    item_ids: IntArray
    """[C]"""
    ranks: IntArray
    """[C] place in CF's order of all items that may be offered, from 1; 0 of what CF does not know
    """


def candidates(
    cf: VectorSource | None,
    catalogue: Catalogue,
    context: Context,
    items: IntArray,
    new: BoolArray,
    arrival: IntArray,
    *,
    count: int,
    joined: JoinedRanking | None = None,
) -> Candidates:
    """Choose `count` of the items for one person; the same question gets the same answer.

    Where weights were learned for it, CF is joined with the other parts that pick candidates.

    Parameters
    ----------
    items
        [N] all that may be offered, in ascending order.
    new
        [N] which of them CF does not know.
    arrival
        [N] when each came; later ones first.
    """
    known, fresh = items[~new], items[new]
    if joined is None:
        ordered = known[candidate_order(cf, catalogue, context.pairs(known))]
    else:
        group = joined.of(context)
        said = signals(cf, catalogue, context, known, group.parts)
        ordered = said.items[said.order(group.first)]
    room = min(len(fresh), max(1, round(NEW_SHARE * count)))
    room = max(room, min(len(fresh), count - len(ordered)))
    latest = np.lexsort((-fresh, -arrival[new]))[:LATEST]
    titles = [catalogue.titles[item] for item in fresh[latest].tolist()]
    liked = [catalogue.titles[item] for item in context.liked[-READ:].tolist()]
    # By turns the latest, whatever it is about, and the nearest to what was liked.
    both = np.stack([latest, latest[_nearest(titles, liked)]], axis=1).ravel()
    _, first = np.unique(both, return_index=True)
    best = both[np.sort(first)][:room]
    chosen = ordered[: count - len(best)]
    return Candidates(
        np.concatenate([chosen, fresh[best]]),
        np.concatenate([np.arange(1, len(chosen) + 1), np.zeros(len(best), np.int64)]),
    )


def worth(
    cf: VectorSource | None,
    catalogue: Catalogue,
    context: Context,
    items: IntArray,
    chosen: IntArray,
    scores: FloatArray,
    joined: JoinedRanking,
) -> FloatArray:
    """Return by what the chosen items are put in order for one person, larger first: [C].

    The system's scores are joined with the other parts by the weights that were learned for it; the
    orders of these are of all `items` that may be offered.
    """
    group = joined.of(context)
    said = signals(cf, catalogue, context, np.union1d(items, chosen), group.parts)
    order = np.argsort(said.items, kind="stable")
    picked = order[np.searchsorted(said.items[order], chosen)]
    total = said.of_candidates(picked, scores).sum(group.then)
    return total[np.argsort(np.argsort(picked))]


def _nearest(titles: Sequence[str], liked: Sequence[str]) -> IntArray:
    """Return the order of titles by likeness to liked ones, equal ones as they came: [N]."""
    if not titles or not liked:
        return np.arange(len(titles))
    alike = (title_vectors(titles) @ title_vectors(liked).T).toarray().mean(axis=1)
    return np.argsort(-alike, kind="stable")
