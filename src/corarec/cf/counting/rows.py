"""The rows whose labels may be known, put so that all sums over a past are differences."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from corarec.data.history import NEVER_OVER
from corarec.types import FloatArray, Histories, IntArray, Log

SMOOTHING = 5.0
"""Rows at the expected rate that are added to a rate or a residual."""


@dataclass(frozen=True)
class Asked:
    """The pairs that statistics are wanted of."""

    users: IntArray
    """[Q] 0 for unknown"""
    items: IntArray
    """[Q] 0 for unknown"""
    until: IntArray
    """[Q] rows before this second are known"""
    histories: Histories

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: IntArray) -> "Asked":
        """Keep some of the pairs."""
        histories = self.histories.take(rows)
        return Asked(self.users[rows], self.items[rows], self.until[rows], histories)


class Past:
    """Sums over the rows of one key (a user, an item, all) before a moment.

    `keys: [N]` 0..size - 1, `ranks: [N]` of the rows' times among `moments` distinct ones.
    """

    def __init__(self, keys: IntArray, ranks: IntArray, size: int, moments: int) -> None:
        self.order = np.lexsort((ranks, keys))
        self._stride = moments + 1
        self._places = keys[self.order] * self._stride + ranks[self.order]
        self.first = np.searchsorted(keys[self.order], np.arange(size + 1))

    def ends(self, keys: IntArray, ranks: IntArray) -> IntArray:
        """Return one past the last row of each key before each rank, in this order: [Q]."""
        return np.searchsorted(self._places, keys * self._stride + ranks)

    def running(self, values: FloatArray) -> FloatArray:
        """Return the sums of values before each place of this order: [N + 1]."""
        return np.concatenate([[0.0], np.cumsum(values[self.order])])

    def sums(self, values: FloatArray, keys: IntArray, ranks: IntArray) -> FloatArray:
        """Return the sum of the values of each key's rows before each rank: [Q]."""
        running = self.running(values)
        return running[self.ends(keys, ranks)] - running[self.first[keys]]

    def counts(self, keys: IntArray, ranks: IntArray) -> FloatArray:
        """Return how many rows each key has before each rank: [Q]."""
        return (self.ends(keys, ranks) - self.first[keys]).astype(np.float64)


@dataclass(frozen=True)
class Tables:
    """What is known of every user and item at one moment."""

    moment: int
    mean: float
    """`m`, the share of liked rows"""
    item_rows: FloatArray
    """[I + 1]"""
    item_likes: FloatArray
    """[I + 1]"""
    user_rows: FloatArray
    """[U + 1]"""
    user_likes: FloatArray
    """[U + 1]"""
    item_rates: FloatArray
    """[I + 1] smoothed"""
    user_residuals: FloatArray
    """[U + 1]"""
    item_residuals: FloatArray
    """[I + 1]"""
    residuals: FloatArray
    """[N] of the known rows after both biases; those of others mean nothing"""


@dataclass(frozen=True)
class Running:
    """Residuals of every row as they were when it happened."""

    first: FloatArray
    """[N] label minus the item's rate"""
    second: FloatArray
    """[N] minus the user's residual, too"""


class KnownRows:
    """A log in the order of users, then of time; `rows` and `[N]` below are in this order."""

    def __init__(self, log: Log, num_users: int, num_items: int) -> None:
        order = np.lexsort((log.times, log.user_ids))
        self.num_users, self.num_items = num_users, num_items
        self.users = log.user_ids[order]
        self.items = log.item_ids[order]
        self.times = log.times[order]
        self.stars = log.stars[order]
        self.labels = log.labels[order].astype(np.float64)
        self.moments, ranks = np.unique(self.times, return_inverse=True)
        self.ranks: IntArray = ranks.astype(np.int64)

    def __len__(self) -> int:
        return len(self.users)

    @cached_property
    def of_users(self) -> Past:
        """Sums over a user's rows; its order is that of the rows."""
        return Past(self.users, self.ranks, self.num_users + 1, len(self.moments))

    @cached_property
    def of_items(self) -> Past:
        """Sums over an item's rows."""
        return Past(self.items, self.ranks, self.num_items + 1, len(self.moments))

    @cached_property
    def of_all(self) -> Past:
        """Sums over all rows."""
        nobody = np.zeros(len(self), dtype=np.int64)
        return Past(nobody, self.ranks, 1, len(self.moments))

    def rank(self, until: IntArray) -> IntArray:
        """Return how many distinct times lie before each second: [Q]."""
        return np.searchsorted(self.moments, until)

    def ranges(self, users: IntArray, until: IntArray) -> tuple[IntArray, IntArray]:
        """Return the first row of each user and one past the last that is known: [Q] each."""
        return self.of_users.first[users], self.of_users.ends(users, self.rank(until))

    def mean_before(self, ranks: IntArray) -> FloatArray:
        """Return the share of liked rows before each rank, near a half while there are few: [Q]."""
        nobody = np.zeros(len(ranks), dtype=np.int64)
        likes = self.of_all.sums(self.labels, nobody, ranks)
        count = self.of_all.counts(nobody, ranks)
        return (likes + SMOOTHING / 2) / (count + SMOOTHING)

    def item_rates_before(self, items: IntArray, ranks: IntArray) -> FloatArray:
        """Return the smoothed rate of each item before each rank: [Q]."""
        likes = self.of_items.sums(self.labels, items, ranks)
        count = self.of_items.counts(items, ranks)
        return (likes + SMOOTHING * self.mean_before(ranks)) / (count + SMOOTHING)

    @cached_property
    def running(self) -> Running:
        """The residual of every row by what was known before it."""
        first = self.labels - self.item_rates_before(self.items, self.ranks)
        return Running(first, first - self.user_residuals_before(first, self.users, self.ranks))

    def user_residuals_before(
        self, first: FloatArray, users: IntArray, ranks: IntArray
    ) -> FloatArray:
        """Return the smoothed mean of residuals of each user's rows before each rank: [Q]."""
        count = self.of_users.counts(users, ranks)
        return self.of_users.sums(first, users, ranks) / (count + SMOOTHING)

    def tables(self, moment: int) -> Tables:
        """Return what is known of every user and item before a moment."""
        known = self.times < moment if moment < NEVER_OVER else np.ones(len(self), dtype=np.bool_)
        users, items, labels = self.users[known], self.items[known], self.labels[known]
        num_users, num_items = self.num_users + 1, self.num_items + 1
        mean = float((labels.sum() + SMOOTHING / 2) / (len(labels) + SMOOTHING))
        item_rows = np.bincount(items, minlength=num_items).astype(np.float64)
        item_likes = _sums(items, labels, num_items)
        user_rows = np.bincount(users, minlength=num_users).astype(np.float64)
        rates = (item_likes + SMOOTHING * mean) / (item_rows + SMOOTHING)
        first = labels - rates[items]
        of_users = _sums(users, first, num_users) / (user_rows + SMOOTHING)
        second = first - of_users[users]
        of_items = _sums(items, second, num_items)
        residuals = np.zeros(len(self))
        residuals[known] = second
        return Tables(
            moment=moment,
            mean=mean,
            item_rows=item_rows,
            item_likes=item_likes,
            user_rows=user_rows,
            user_likes=_sums(users, labels, num_users),
            item_rates=rates,
            user_residuals=of_users,
            item_residuals=of_items / (item_rows + SMOOTHING),
            residuals=residuals,
        )


def _sums(ids: IntArray, values: FloatArray, size: int) -> FloatArray:
    return np.bincount(ids, weights=values, minlength=size).astype(np.float64)
