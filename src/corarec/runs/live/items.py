"""What a live run knows of items: those of the dataset and those that were added since."""

import heapq
from collections.abc import Mapping
from typing import Any
from unicodedata import normalize

import numpy as np
import polars as pl

from corarec.data import Catalogue
from corarec.data.vocabulary import Vocabulary
from corarec.errors import DataError, did_you_mean
from corarec.runs.live.checks import checked_metadata, checked_name
from corarec.runs.live.columns import Columns, texts
from corarec.runs.live.search import folded, nearest
from corarec.runs.live.types import Filters, Hit, Item, Limits
from corarec.types import BoolArray, IntArray

MOST_KEPT = 40
"""What is made of all items and kept until one changes: a few, and columns that are filtered by."""


class Items:
    """Items by their numbers: `1..I` of the catalogue, added ones from `I + 1` on.

    The number of an added item that was removed is given to another once nobody refers to it.
    """

    def __init__(
        self, catalogue: Catalogue, limits: Limits, metadata: pl.DataFrame | None = None
    ) -> None:
        self.catalogue, self.limits = catalogue, limits
        self.new_titles: list[str] = []
        """Titles of the items from `I + 1` on; empty where a number is free."""
        self._columns = Columns(catalogue.titles, metadata)
        self._ids: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._times: dict[int, int] = {}
        self._removed: set[int] = set()
        self._free: list[int] = []
        self._kept: dict[str, Any] = {}

    @property
    def known(self) -> int:
        """`I`, the items of the catalogue."""
        return self.catalogue.num_items

    @property
    def count(self) -> int:
        """The largest number there is."""
        return self.known + len(self.new_titles)

    @property
    def num_added(self) -> int:
        """How many items were added and not removed."""
        return len(self._ids) - sum(number > self.known for number in self._removed)

    def number(self, item: str, *, removed: bool = False) -> int:
        """Return the number of an item by its raw id.

        Raises
        ------
        DataError
            Nobody knows it, or it was removed and those are not asked for.
        """
        number = self.find(item)
        if not number:
            raise DataError(
                f"There is no item {item!r:.80}. Items go by the ids of the source, such as "
                f"{', '.join(self.catalogue.vocabulary.raw_ids[:3])}; a new one is added by its "
                "title first."
            )
        if number in self._removed and not removed:
            raise DataError(f"The item {item!r:.80} was removed. Add it again to ask about it.")
        return number

    def named(self, name: str) -> int:
        """Return the number of an item by raw id or, where none has that, by its exact title.

        Raises
        ------
        DataError
            There is none; names titles that come close.
        """
        if isinstance(name, str) and self.find(name):
            return self.number(name)
        title = normalize("NFC", name).strip() if isinstance(name, str) else ""
        number = self._by_title.get(title, 0)
        if not number:
            hint = did_you_mean(title, list(self._by_title)) if len(title) <= 200 else ""
            raise DataError(f"No item has the id or the title {name!r:.80}. {hint}".rstrip())
        return number

    def raw(self, number: int) -> str | None:
        """Return the raw id of an item; None of one that nobody added."""
        if 0 < number <= self.known:
            return self.catalogue.vocabulary.raw(np.array([number]))[0]
        return self._names.get(number)

    def title(self, number: int) -> str:
        """Return the title of an item."""
        if number <= self.known:
            return self.catalogue.titles[number]
        return self.new_titles[number - self.known - 1]

    def item(self, number: int) -> Item:
        """Return what is known of an item."""
        raw = self.raw(number)
        assert raw is not None
        removed = number in self._removed
        return Item(raw, self.title(number), number > self.known, removed, self.metadata(number))

    def added(self) -> list[int]:
        """Return the numbers of the items that were added and not removed, in order of arrival."""
        return [number for number in self._ids.values() if number not in self._removed]

    def time(self, number: int) -> int:
        """Return when an item was added; 0 of others."""
        return self._times.get(number, 0)

    def times(self, numbers: IntArray) -> IntArray:
        """Return when each item was added; 0 of others: [N]."""
        found = np.zeros(len(numbers), dtype=np.int64)
        added = np.flatnonzero(numbers > self.known)
        found[added] = [self.time(number) for number in numbers[added].tolist()]
        return found

    def add(
        self, item: str, title: str, *, time: int = 0, metadata: Mapping[str, Any] | None = None
    ) -> bool:
        """Add an item by its title; return whether that changed anything.

        Raises
        ------
        DataError
            It is one of the dataset, a value is none, or there is no room.
        """
        item = checked_name(item, "item")
        title = checked_name(title, "title", self.limits.title_chars)
        title = normalize("NFC", title.strip())
        told = checked_metadata(metadata or {})
        number = self.find(item)
        if 0 < number <= self.known:
            if number in self._removed and title == self.title(number):
                self._removed.discard(number)
                self._touch()
                return True
            raise DataError(
                f"The item {item!r:.80} is one of the dataset, called {self.title(number)!r:.80}. "
                "Its title is what the system was trained with; choose another id for a new item."
            )
        if number:
            same = self.title(number) == title and self._columns.told.get(number, {}) == told
            if same and number not in self._removed:
                return False
            self._removed.discard(number)
        else:
            if len(self._ids) >= self.limits.items:
                raise DataError(
                    f"{len(self._ids):,} items were added, the most that are kept. Remove some, or "
                    "raise the limit."
                )
            number = self._new_number()
            self._ids[item], self._names[number] = number, item
        self.new_titles[number - self.known - 1] = title
        self._columns.told[number], self._times[number] = told, time
        self._touch()
        return True

    def remove(self, item: str, *, in_use: bool) -> bool:
        """Take an item out of what is offered; return whether it was there.

        One that was added and that nobody refers to (`in_use`) is forgotten.
        """
        number = self.find(item)
        if not number or number in self._removed:
            return False
        self._touch()
        if number <= self.known or in_use:
            self._removed.add(number)
            return True
        del self._ids[item], self._names[number]
        self._columns.told.pop(number, None)
        self._times.pop(number, None)
        self.new_titles[number - self.known - 1] = ""
        heapq.heappush(self._free, number)
        return True

    def find(self, item: str) -> int:
        """Return the number of an item, removed or not; 0 where nobody knows it.

        Raises
        ------
        DataError
            It is no text.
        """
        if not isinstance(item, str):
            raise DataError(f"The item is {item!r:.60}; wanted is a text.")
        return self._ids.get(item, 0) or self.catalogue.vocabulary.number(item)

    def has(self, item: str) -> bool:
        """Return whether an item is known, removed or not."""
        return bool(self.find(item))

    def removed(self) -> list[int]:
        """Return the numbers of the items that are offered no more."""
        return sorted(self._removed)

    def add_again(self, of: "Items", number: int) -> None:
        """Add an item that others have, unless it is here."""
        raw = str(of.raw(number))
        if not self.has(raw) or self.find(raw) > self.known:
            told = of._columns.told.get(number, {})
            self.add(raw, of.title(number), time=of.time(number), metadata=told)

    def offered(self) -> IntArray:
        """Return the numbers of all items that may be offered, ascending."""
        return self._cached("offered", self._make_offered)

    def catalogue_now(self) -> Catalogue:
        """Return all items, added ones included, as a catalogue; popularity is of the dataset."""
        return self._cached("catalogue", self._make_catalogue)

    def metadata(self, number: int) -> dict[str, Any]:
        """Return what is known of an item beside its title."""
        return self._columns.of(number)

    def fitting(self, filters: Filters) -> BoolArray:
        """Return which items fit, whoever asks: [count + 1].

        Raises
        ------
        DataError
            There is no such column, or a bound is no year.
        """
        fits = np.ones(self.count + 1, dtype=np.bool_)
        fits[0] = False
        if filters.added_only:
            fits[: self.known + 1] = False
        for column, wanted in filters.where.items():
            values = self._values(column)
            wanted_values = texts(wanted, split=False)
            fits &= np.array([bool(value & wanted_values) for value in values], dtype=np.bool_)
        bounds = (filters.year_from, filters.year_to)
        for bound in bounds:
            if bound is not None and (isinstance(bound, bool) or not isinstance(bound, int)):
                raise DataError(f"A year is {bound!r:.40}; wanted is a whole number.")
        if bounds != (None, None) and not self._years.any():
            raise DataError(
                "Items have no years to filter by: none has a column `year`, or a title that ends "
                "with one, such as (1999)."
            )
        if filters.year_from is not None:
            fits &= self._years >= filters.year_from
        if filters.year_to is not None:
            fits &= (self._years <= filters.year_to) & (self._years > 0)
        return fits

    def columns(self) -> dict[str, list[str]]:
        """Return the columns of the metadata, each with the values that it has, 200 at most."""
        names = self._columns.names()
        found = {name: sorted(frozenset().union(*self._values(name))) for name in names}
        return {name: values[:200] for name, values in found.items()}

    def search(self, query: str, count: int = 10) -> list[Hit]:
        """Return the items whose titles come closest to a query, the closest first.

        Raises
        ------
        ConfigError
            The package for it is not installed.
        DataError
            The query is no text, or longer than 200 characters.
        """
        if not isinstance(query, str) or len(query) > 200:
            raise DataError("The query is no text of at most 200 characters.")
        if not isinstance(count, int) or not 0 < count <= 1000:
            raise DataError(f"The count is {count!r:.40}; wanted is 1 to 1,000.")
        hits = []
        for raw, match in nearest(query, self._cached("titles", self._make_titles), count):
            item = self.item(self.find(raw))
            hits.append(Hit(item.item, item.title, match, item.added))
        return hits

    def _new_number(self) -> int:
        if self._free:
            return heapq.heappop(self._free)
        self.new_titles.append("")
        return self.count

    def _touch(self) -> None:
        self._kept.clear()

    def _cached(self, name: str, make: Any) -> Any:
        if name not in self._kept:
            made = make()
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[name] = made
        return self._kept[name]

    @property
    def _by_title(self) -> dict[str, int]:
        return self._cached("by title", self._make_by_title)

    def _make_by_title(self) -> dict[str, int]:
        # Of equal titles the first that was known.
        return {self.title(number): number for number in self.offered().tolist()[::-1]}

    def _make_offered(self) -> IntArray:
        numbers = np.concatenate([np.arange(1, self.known + 1), np.array(self.added(), np.int64)])
        return np.unique(numbers[~np.isin(numbers, list(self._removed))])

    def _make_titles(self) -> dict[str, str]:
        numbers = self.offered().tolist()
        return {str(self.raw(number)): folded(self.title(number)) for number in numbers}

    def _make_catalogue(self) -> Catalogue:
        catalogue, new = self.catalogue, range(self.known + 1, self.count + 1)
        raw_ids = [self._names.get(number, f"\0{number}") for number in new]
        nobody = np.zeros(len(new), np.int64)
        return Catalogue(
            titles=[*catalogue.titles, *self.new_titles],
            noun=catalogue.noun,
            nouns=catalogue.nouns,
            vocabulary=Vocabulary([*catalogue.vocabulary.raw_ids, *raw_ids]),
            popularity=np.concatenate([catalogue.popularity, nobody]),
            recent=np.concatenate([catalogue.recent, nobody]),
        )

    def _values(self, column: str) -> list[frozenset[str]]:
        return self._cached(f"column {column}", lambda: self._columns.values(column, self.count))

    @property
    def _years(self) -> IntArray:
        return self._cached("years", self._make_years)

    def _make_years(self) -> IntArray:
        return self._columns.years(self.new_titles)
