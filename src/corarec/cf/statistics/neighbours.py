"""Items that the same users liked: counts of pairs of items, kept up to date moment by moment."""

import numpy as np
from scipy.sparse import csr_array

from corarec.cf.counting.rows import Asked, KnownRows, Tables
from corarec.cf.ranges import chunks, flat
from corarec.types import FloatArray, IntArray

PAIRS_AT_ONCE = 2_000_000
EVIDENCE = 20.0
"""Added to the counts that a share is taken of."""


class CoCounts:
    """For each two items how many users rated both, liked both, and how their residuals agree.

    Kept for the `most` items with most rows: four tables [K + 1, K + 1] of float32, in which place
    0 stands for every other item. They only grow: moments must come in order.
    """

    def __init__(self, rows: KnownRows, most: int) -> None:
        count = np.bincount(rows.items, minlength=rows.num_items + 1)
        count[0] = 0
        chosen = np.argsort(-count, kind="stable")[: min(most, np.count_nonzero(count))]
        self.rows = rows
        self.slots = np.zeros(rows.num_items + 1, dtype=np.int64)
        self.slots[np.sort(chosen)] = np.arange(1, len(chosen) + 1)
        size = len(chosen) + 1
        self.liked, self.rated_liked, self.rated, self.agreement = (
            np.zeros((size, size), dtype=np.float32) for _ in range(4)
        )
        self.done = 0
        """Distinct times whose rows are counted."""
        slots = self.slots[rows.items]
        order = np.lexsort((slots, rows.users))
        self._order: IntArray = order[slots[order] > 0]
        """the rows that count, by user and item, so that what is made of them need not be sorted"""
        users, slots = rows.users[self._order], slots[self._order]
        self._distinct = not ((users[1:] == users[:-1]) & (slots[1:] == slots[:-1])).any()
        self._users, self._slots, self._ranks = users, slots, rows.ranks[self._order]

    def advance(self, moment: int) -> None:
        """Count the rows before a moment that were not counted before."""
        rank = int(np.searchsorted(self.rows.moments, moment))
        assert rank >= self.done, "moments must come in order"
        fresh = (self._ranks >= self.done) & (self._ranks < rank)
        if fresh.any():
            active = np.zeros(self.rows.num_users + 1, dtype=np.bool_)
            active[self._users[fresh]] = True
            old = (self._ranks < self.done) & active[self._users]
            self._count(np.flatnonzero(old), np.flatnonzero(fresh), active)
        self.done = rank

    def _count(self, old: IntArray, fresh: IntArray, active: np.ndarray) -> None:
        ids = np.cumsum(active) - 1
        shape = (int(active.sum()), len(self.liked))
        labels, residuals = self.rows.labels, self.rows.running.second
        ones = np.ones(len(self.rows))
        before, after = (
            [self._sparse(ids, some, value, shape) for value in (labels, ones, residuals)]
            for some in (old, fresh)
        )
        for table, left, right in (
            (self.liked, 0, 0),
            (self.rated_liked, 1, 0),
            (self.rated, 1, 1),
            (self.agreement, 2, 2),
        ):
            table += (after[left].T @ (before[right] + after[right])).toarray()
            table += (before[left].T @ after[right]).toarray()

    def _sparse(
        self, ids: IntArray, some: IntArray, values: FloatArray, shape: tuple[int, int]
    ) -> csr_array:
        """Return the values [N] of some of the rows that count as a matrix of users and items."""
        of_rows = values[self._order[some]]
        there = np.flatnonzero(of_rows)
        some, data = some[there], of_rows[there].astype(np.float32)
        starts = np.searchsorted(ids[self._users[some]], np.arange(shape[0] + 1))
        matrix = csr_array((data, self._slots[some], starts), shape=shape)
        matrix.has_sorted_indices = True
        if not self._distinct:
            matrix.sum_duplicates()
        return matrix


def neighbours(
    rows: KnownRows,
    counts: CoCounts,
    asked: Asked,
    tables: Tables,
    residuals: FloatArray,
    most: int,
) -> FloatArray:
    """Return what the user's other items say of each item: [Q, 3].

    Over the liked `j`: `sum(LL_ij - r_i RL_ij) / (sum(RL_ij) + 20)`, where `LL_ij` users liked both
    and `RL_ij` rated `i` and liked `j`; the same over the disliked; and over all known rows the
    residuals `e_j` weighted with `w_ij = C_ij / (n_ij + 10)`: `sum(w e) / (sum |w| + 0.3)`.
    """
    rates = tables.item_rates[asked.items]
    result = np.zeros((len(asked), 3))
    targets = counts.slots[asked.items]
    histories = asked.histories
    starts = np.maximum(histories.start, histories.end - most)
    liked_items = np.where(histories.liked_items <= rows.num_items, histories.liked_items, 0)
    for chunk in chunks(histories.end - starts, PAIRS_AT_ONCE):
        places, owners = flat(starts[chunk], histories.end[chunk])
        i, j = targets[chunk][owners], counts.slots[liked_items[places]]
        other = i != j
        both = np.bincount(owners, counts.liked[i, j] * other, len(chunk))
        rated = np.bincount(owners, counts.rated_liked[i, j] * other, len(chunk))
        result[chunk, 0] = (both - rates[chunk] * rated) / (rated + EVIDENCE)
    starts, ends = rows.ranges(asked.users, asked.until)
    starts = np.maximum(starts, ends - most)
    for chunk in chunks(ends - starts, PAIRS_AT_ONCE):
        places, owners = flat(starts[chunk], ends[chunk])
        i, j = targets[chunk][owners], counts.slots[rows.items[places]]
        other = i != j
        disliked = other * (rows.labels[places] == 0)
        # Who likes i and dislikes j rated j, and did not like it.
        rated_j = counts.rated[i, j] - counts.rated_liked[i, j]
        liked_i = counts.rated_liked[j, i] - counts.liked[i, j]
        rated = np.bincount(owners, rated_j * disliked, len(chunk))
        both = np.bincount(owners, liked_i * disliked, len(chunk))
        result[chunk, 1] = (both - rates[chunk] * rated) / (rated + EVIDENCE)
        weights = counts.agreement[i, j] / (counts.rated[i, j] + 10.0) * other
        said = np.bincount(owners, weights * residuals[places], len(chunk))
        size = np.bincount(owners, np.abs(weights), len(chunk))
        result[chunk, 2] = said / (size + 0.3)
    return result
