"""What items can be filtered by: the columns of their metadata, and their years."""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from corarec.errors import DataError
from corarec.types import IntArray

YEAR = "year"
NOT_METADATA = ("item_id", "raw_id", "title", "row")
MOST_KEPT = 40
"""Columns that are filtered by."""
_YEAR = re.compile(r"\((\d{4})\)\s*$")
_PARTED = re.compile(r"\s*[|,]\s*")


class Columns:
    """What is known of items beside their titles.

    What the dataset says of its items is read once, and kept whatever is added.

    Parameters
    ----------
    titles
        [I + 1] of the items that the dataset has, by number.
    table
        A row for each of them, in the order of their numbers.
    """

    def __init__(self, titles: Sequence[str], table: pl.DataFrame | None) -> None:
        self._titles, self._known, self._table = titles, len(titles) - 1, table
        self.told: dict[int, dict[str, Any]] = {}
        """Of the items from `I + 1` on."""
        names = [] if table is None else table.columns
        self._given = [name for name in names if name not in NOT_METADATA]
        self._kept: dict[str, list[frozenset[str]]] = {}

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
        new = range(self._known + 1, count + 1)
        return [*self._of_known(column), *(self._of_new(column, number) for number in new)]

    def years(self, new_titles: Sequence[str]) -> IntArray:
        """Return the year of every item, 0 for none: [I + 1 + N].

        new_titles: [N], of number `I + 1` on.
        """
        first = self._known + 1
        new = [
            _year(title, self._of_new(YEAR, number))
            for number, title in enumerate(new_titles, start=first)
        ]
        return np.concatenate([self._years_of_known, np.array(new, dtype=np.int64)])

    @cached_property
    def _years_of_known(self) -> IntArray:
        pairs = zip(self._titles, self._of_known(YEAR), strict=True)
        return np.array([_year(title, values) for title, values in pairs], dtype=np.int64)

    def _of_known(self, column: str) -> list[frozenset[str]]:
        """Return what the dataset says in a column: [I + 1]."""
        if self._table is None or column not in self._given:
            return [frozenset()] * (self._known + 1)
        if column not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            equal: dict[frozenset[str], frozenset[str]] = {}
            found = map(texts, self._table[column].to_list())
            self._kept[column] = [frozenset(), *(equal.setdefault(each, each) for each in found)]
        return self._kept[column]

    def _of_new(self, column: str, number: int) -> frozenset[str]:
        return texts(self.told.get(number, {}).get(column))


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


def _year(title: str, values: frozenset[str]) -> int:
    """Return the year that a column says, else the one at the end of the title; 0: none."""
    told = [int(float(value)) for value in values if _is_number(value)]
    found = _YEAR.search(title)
    return told[0] if told else int(found[1]) if found else 0


def _is_number(text: str) -> bool:
    try:
        return np.isfinite(float(text)) and abs(float(text)) < 1e6
    except ValueError:
        return False
