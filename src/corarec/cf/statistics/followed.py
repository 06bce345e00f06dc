"""What `statistics` keeps while rows come in one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from corarec.cf.counting.rows import KnownRows
from corarec.cf.statistics.neighbours import CoCounts
from corarec.types import Log

if TYPE_CHECKING:
    from corarec.cf.statistics.features import Features

_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9], dtype=np.uint64)


class Followed:
    """The statistics of the last log, and the counts of pairs of items at the last moment.

    A row that comes in makes the former anew, in time proportional to the number of rows; the
    latter, which take longest, only where a row from before their moment came or went.
    """

    def __init__(self) -> None:
        self._features: tuple[Log, tuple[int, int], Features] | None = None
        self._counts: tuple[tuple[int, int, int], CoCounts] | None = None

    def of(self, log: Log, sizes: tuple[int, int], make: Callable[[Log], Features]) -> Features:
        """Return the statistics of a log for so many users and items."""
        kept = self._features
        if kept is None or kept[0] is not log or kept[1] != sizes:
            kept = self._features = log, sizes, make(log)
        return kept[2]

    def counts(self, rows: KnownRows, most: int, moment: int) -> CoCounts:
        """Return the counts of pairs of items before a moment."""
        before = rows.times < moment
        columns = (rows.users[before], rows.items[before], rows.times[before])
        mixed = np.zeros(int(before.sum()), dtype=np.uint64)
        for column, factor in zip(columns, _MIX, strict=True):
            mixed = (mixed ^ (column.astype(np.uint64) * factor)) * _MIX[0]
        mixed = mixed * (2 * rows.labels[before].astype(np.uint64) + np.uint64(1))
        key = moment, len(mixed), int(mixed.sum())
        if self._counts is None or self._counts[0] != key:
            counts = CoCounts(rows, most)
            counts.advance(moment)
            self._counts = key, counts
        return self._counts[1]
