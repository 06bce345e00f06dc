"""What a metric of rankings is: the ranks of the right answers in, a number per user out."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from corarec.types import FloatArray, IntArray


@dataclass(frozen=True)
class RelevantRanks:
    """The ranks of the relevant items of users, each user with one or more."""

    users: IntArray
    """[R] users numbered 0..U-1, each of which occurs"""
    ranks: IntArray
    """[R] from 1"""
    relevant: IntArray
    """[U] how many relevant items each user has"""

    @classmethod
    def of(cls, rows: IntArray, ranks: IntArray) -> "RelevantRanks":
        """Give the users that occur numbers from 0.

        Parameters
        ----------
        rows, ranks
            Two of [R]: any number for each user, and the rank of one of the user's items.
        """
        _, users, relevant = np.unique(rows, return_inverse=True, return_counts=True)
        return cls(users, ranks, relevant)

    def hits(self, cutoff: int) -> FloatArray:
        """Return how many relevant items have a rank of at most the cutoff: [U]."""
        return self.summed((self.ranks <= cutoff).astype(np.float64))

    def reachable(self, cutoff: int) -> IntArray:
        """Return how many could have one: [U]."""
        return np.minimum(cutoff, self.relevant)

    def summed(self, values: FloatArray) -> FloatArray:
        """Return the sums over each user's relevant items of [R] values: [U]."""
        # numpy's types know no weights and call the sums integers.
        return np.asarray(np.bincount(self.users, values, len(self.relevant)), dtype=np.float64)


class RankingMetric(ABC):
    """One metric of rankings; its class stands in `RANKING_METRICS` by `key`."""

    key: ClassVar[str]
    title: ClassVar[str]
    """What it is called in tables."""

    @property
    def name(self) -> str:
        """What results call it."""
        return self.key

    @abstractmethod
    def of(self, found: RelevantRanks) -> FloatArray:
        """Return the metric of every user: [U], empty without users."""


@dataclass(frozen=True)
class CutoffMetric(RankingMetric):
    """A metric of the first items only."""

    cutoff: int
    """The K; how many items count."""

    @property
    def name(self) -> str:
        """What results call it, such as `recall@10`."""
        return f"{self.key}@{self.cutoff}"
