"""Statistics as vectors: what is of the user, what of the item and what of both."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from corarec.cf.counting.rows import Asked
from corarec.cf.statistics.features import Statistic
from corarec.cf.vectors import VectorFamily, VectorTable
from corarec.types import FloatArray, IntArray

CLIP = 5.0
"""Standardised statistics lie within minus and plus this."""


@dataclass(frozen=True)
class Sides:
    """Which statistics stand in which part of a pair's vectors."""

    names: list[Statistic]
    """[F]"""

    @cached_property
    def user(self) -> list[int]:
        """The places of the user's statistics among all."""
        return self._of("user")

    @cached_property
    def item(self) -> list[int]:
        """The places of the item's."""
        return self._of("item")

    @cached_property
    def match(self) -> list[int]:
        """The places of those of both."""
        return self._of("match")

    def _of(self, side: str) -> list[int]:
        return [place for place, each in enumerate(self.names) if each.side == side]

    @property
    def vector_size(self) -> int:
        """How many statistics the user or the item has, whichever are more."""
        return max(len(self.user), len(self.item), 1)

    @property
    def families(self) -> tuple[VectorFamily, ...]:
        """The families of statistics, by their places in the three parts."""
        places: dict[str, dict[str, list[int]]] = {}
        counts = dict.fromkeys(("user", "item", "match"), 0)
        for each in self.names:
            places.setdefault(each.family, {}).setdefault(each.side, []).append(counts[each.side])
            counts[each.side] += 1
        return tuple(
            VectorFamily(name, **{side: tuple(found) for side, found in sides.items()})
            for name, sides in places.items()
        )

    def table(
        self,
        asked: Asked,
        values: FloatArray,
        known: tuple[np.ndarray, np.ndarray],
        means: FloatArray,
    ) -> VectorTable:
        """Return the vectors of pairs; those of one user at one moment are kept once.

        Parameters
        ----------
        values
            [Q, F] the standardised statistics of the pairs.
        known
            Of which pairs the user, and the item, is known: two of [Q].
        means
            [F] over the training rows, in deviations.
        """
        histories = asked.histories
        start = np.where(histories.start < histories.end, histories.start, 0)
        end = np.where(histories.start < histories.end, histories.end, 0)
        first_users, user_rows = distinct(asked.users, asked.until, start, end)
        first_items, item_rows = distinct(asked.items, asked.until)
        known_users, known_items = known
        matches = None
        if self.match:
            # Of a match 0 is "no evidence", whatever the mean over the training rows.
            plain = values[:, self.match] + means[self.match]
            matches = torch.from_numpy(np.clip(plain, -CLIP, CLIP).astype(np.float32))
        return VectorTable(
            self._half(values[first_users][:, self.user], known_users[first_users]),
            self._half(values[first_items][:, self.item], known_items[first_items]),
            user_rows,
            item_rows,
            matches,
        )

    def _half(self, values: FloatArray, known: np.ndarray) -> torch.Tensor:
        half = torch.zeros(len(values), self.vector_size)
        shown = np.where(known[:, None], values, 0.0).astype(np.float32)
        half[:, : values.shape[1]] = torch.from_numpy(shown)
        return half


def distinct(*columns: IntArray) -> tuple[IntArray, IntArray]:
    """Return a row of each distinct combination, and which combination each row has."""
    order = np.lexsort(columns)
    change = np.zeros(len(order), dtype=np.bool_)
    change[:1] = True
    for column in columns:
        change[1:] |= np.diff(column[order]) != 0
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(change) - 1
    return order[change], number
