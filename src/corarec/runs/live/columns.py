"""What items can be filtered by: the columns of their metadata, and their years."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from corarec.errors import DataError
from corarec.types import IntArray

YEAR = "year"
NOT_METADATA = ("item_id", "raw_id", "title", "row")
_YEAR = re.compile(r"\((\d{4})\)\s*$")
_PARTED = re.compile(r"\s*[|,]\s*")


class Columns:
    """What is known of items beside their titles.

    Parameters
    ----------
    known
        `I`, how many items `table` has a row of, in the order of their numbers.
    """

    def __init__(self, known: int, table: pl.DataFrame | None) -> None:
        self._known, self._table = known, table
        self.told: dict[int, dict[str, Any]] = {}
        """Of the items from `I + 1` on."""
        names = [] if table is None else table.columns
        self._given = [name for name in names if name not in NOT_METADATA]

    def of(self, number: int) -> dict[str, Any]:
        """Return what is known of an item."""
        if number > self._known:
            return dict(self.told.get(number, {}))
        if self._table is None or not number:
            return {}
        row = self._table.row(number - 1, named=True)
        return {key: row[key] for key in self._given if row[key] is not None}

    def names(self) -> list[str]:
        """Return the names of all columns."""
        added = (name for told in self.told.values() for name in told)
        return list(dict.fromkeys([*self._given, *added]))

    def values(self, column: str, count: int) -> list[frozenset[str]]:
        """Return the values of a column of every item: [count + 1].

        Raises
        ------
        DataError
            There is no such column.
        """
        if column not in (names := self.names()):
            raise DataError(
                f"Items have no {column!r:.60} to filter by; they have "
                f"{', '.join(names[:20]) or 'titles alone'}."
            )
        given: list[Any] = [None] * self._known
        if self._table is not None and column in self._given:
            given = self._table[column].to_list()
        new = range(self._known + 1, count + 1)
        given += [self.told.get(number, {}).get(column) for number in new]
        return [frozenset(), *(texts(value) for value in given)]

    def years(self, titles: Sequence[str]) -> IntArray:
        """Return the year of every item, 0 for none: [N]; titles: [N], of number 0 on."""
        found = [_YEAR.search(title) for title in titles]
        years = np.array([int(match[1]) if match else 0 for match in found], dtype=np.int64)
        if YEAR in self.names():
            for number, values in enumerate(self.values(YEAR, len(titles) - 1)):
                told = [int(float(value)) for value in values if _is_number(value)]
                if told:
                    years[number] = told[0]
        return years


def texts(value: Any, *, split: bool = True) -> frozenset[str]:
    """Return a value as the texts that it holds; with `split` parted by `|` and `,`."""
    if value is None:
        return frozenset()
    if isinstance(value, str):
        parts: Sequence[Any] = _PARTED.split(value) if split else [value]
    elif isinstance(value, list | tuple | set | frozenset | pl.Series):
        parts = list(value)
    else:
        parts = [value]
    return frozenset(str(part).strip() for part in parts if str(part).strip())


def _is_number(text: str) -> bool:
    try:
        return np.isfinite(float(text)) and abs(float(text)) < 1e6
    except ValueError:
        return False
