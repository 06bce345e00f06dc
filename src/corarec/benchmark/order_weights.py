"""Weights of the parts of an order, learned from lists of items of which some are right."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from corarec.score.joined import POPULARITY, Signals
from corarec.types import BoolArray, FloatArray, IntArray

KEPT = 300
"""The first items of each part whose signals are held while weights are learned."""
SHARES = (0.0, 0.03, 0.1, 0.2, 0.35, 0.5, 0.7)
"""What a part may have of all weights when they are searched one by one."""
ROUNDS = 3
_RIDGE = 1e-3


@dataclass(frozen=True)
class RankedList:
    """Some of a person's items, those that some part puts first."""

    said: Signals
    """[K]"""
    liked: BoolArray
    """[K]"""
    wanted: int
    """How many right answers there are, in the list or not."""

    @classmethod
    def of(cls, said: Signals, wanted: IntArray) -> "RankedList":
        """Keep the first items of each part."""
        chosen = np.zeros(len(said.items), dtype=np.bool_)
        for values in said.values.values():
            chosen[np.argsort(-values, kind="stable")[:KEPT]] = True
        some = {name: values[chosen] for name, values in said.values.items()}
        items = said.items[chosen]
        return cls(Signals(items, some), np.isin(items, wanted), len(wanted))

    def matrix(self, parts: Sequence[str]) -> FloatArray:
        """Return what parts say: [K, P]."""
        return np.stack([self.said.values[part] for part in parts], axis=1)

    def ndcg(self, scores: FloatArray, cutoff: int) -> float:
        """Return how well scores [K] order the items, the first of equals first."""
        best = np.arange(len(scores))
        if cutoff < len(scores):
            least = len(scores) - cutoff
            best = np.flatnonzero(scores >= np.partition(scores, least)[least])
        first = self.liked[best[np.argsort(-scores[best], kind="stable")][:cutoff]]
        gains = 1 / np.log2(np.arange(2, cutoff + 2))
        return float(gains[: len(first)] @ first / gains[: self.wanted].sum())


def fit_weights(lists: Sequence[RankedList], parts: Sequence[str]) -> dict[str, float]:
    """Return the weights, none below zero, by which liked items have most of a softmax's mass.

    The loss is the mean over users of the mean over their liked items of `-log softmax`; it is
    convex. Users of whose liked items none is listed do not count.
    """
    some = [each for each in lists if each.liked.any()]
    if not some:
        return {part: float(part == POPULARITY) for part in parts}
    values = np.concatenate([each.matrix(parts) for each in some])
    lengths = np.array([len(each.liked) for each in some])
    starts = np.cumsum(lengths) - lengths
    liked = np.concatenate([each.liked / each.liked.sum() for each in some])
    owners = np.repeat(np.arange(len(some)), lengths)

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        scores = values @ weights
        scores -= np.maximum.reduceat(scores, starts)[owners]
        masses = np.exp(scores)
        sums = np.add.reduceat(masses, starts)
        total = np.log(sums).sum() - liked @ scores
        gradient = (masses / sums[owners] - liked) @ values
        count = len(some)
        ridge = _RIDGE * weights
        return float(total / count + ridge @ weights / 2), gradient / count + ridge

    found = minimize(
        loss,
        np.full(len(parts), 0.3),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * len(parts),
    )
    return dict(zip(parts, found.x.round(6).tolist(), strict=True))


def search_weights(
    lists: Sequence[RankedList], weights: Mapping[str, float], cutoff: int
) -> dict[str, float]:
    """Return weights whose NDCG is no lower, found by giving each part other shares in turn.

    Returns
    -------
    Weights of the same parts that sum up to one; as they came where all are zero.
    """
    parts = list(weights)
    best = np.array([weights[part] for part in parts])
    if not best.sum():
        return dict(weights)
    best /= best.sum()
    matrices = [each.matrix(parts) for each in lists]

    def value(of: FloatArray) -> float:
        found = [
            each.ndcg(matrix @ of, cutoff) for each, matrix in zip(lists, matrices, strict=True)
        ]
        return float(np.mean(found))

    reached = value(best)
    for _ in range(ROUNDS):
        before = reached
        for place in range(len(parts)):
            rest = np.delete(best, place).sum()
            for share in SHARES if rest else ():
                tried = best * (1 - share) / rest
                tried[place] = share
                if (now := value(tried)) > reached + 1e-9:
                    best, reached = tried, now
                    rest = np.delete(best, place).sum()
        if reached == before:
            break
    return dict(zip(parts, best.round(6).tolist(), strict=True))
