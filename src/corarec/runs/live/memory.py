"""What a run is told while it is in use."""

from typing import Any

from corarec.runs.live.checks import checked_time
from corarec.runs.live.state import LiveState
from corarec.runs.live.types import Hit, Item, Kind


class LiveMemory(LiveState):
    """Takes what is told of items and people, and tells what is known of an item."""

    @property
    def new_titles(self) -> list[str]:
        """Titles of the items beyond the catalogue, as `Scorer.score` takes them."""
        return self._items.new_titles

    @property
    def first_free(self) -> int:
        """The number of the first title that stands behind `new_titles`."""
        return self._items.count + 1

    # Items

    def add_item(self, item: str, title: str, *, time: int | None = None, **metadata: Any) -> bool:
        """Add an item by its title; return whether that changed anything.

        The same id and title again change nothing; the same id with another title is retitled.
        Items of the same title are different items.

        Raises
        ------
        DataError
            It is an item of the dataset, a value is none, or there are too many.
        """
        when = self._people.now if time is None else checked_time(time)
        return self._items.add(item, title, time=when, metadata=metadata)

    def remove_item(self, item: str) -> bool:
        """Offer an item no more; return whether it was offered. Histories keep its title."""
        number = self._items.find(item)  # an unknown one is no mistake here
        return self._items.remove(item, in_use=bool(number) and self._people.refers_to(number))

    def item(self, item: str) -> Item:
        """Return what is known of an item.

        Raises
        ------
        DataError
            Nobody knows it.
        """
        return self._items.item(self._items.number(item, removed=True))

    def items(self, added_only: bool = True) -> list[Item]:
        """Return the items that were added, or all that may be offered."""
        numbers = self._items.added() if added_only else self._items.offered().tolist()
        return [self._items.item(number) for number in numbers]

    def search(self, query: str, count: int = 10) -> list[Hit]:
        """Return the items whose titles come closest to a query, typing errors and all."""
        return self._items.search(query, count)

    def filter_columns(self) -> dict[str, list[str]]:
        """Return what items can be filtered by, and values of each column."""
        return self._items.columns()

    def number(self, item: str) -> int:
        """Return the number of an item.

        Raises
        ------
        DataError
            Nobody knows it, or it was removed.
        """
        return self._items.number(item)

    def raw(self, number: int) -> str | None:
        """Return the raw id of an item's number; None of a title that nobody added."""
        return self._items.raw(number)

    def title(self, number: int) -> str:
        """Return the title of an item's number."""
        return self._items.title(number)

    # People

    def record(
        self,
        user: str,
        item: str,
        kind: Kind,
        time: int,
        stars: float | None = None,
        *,
        overwrite: bool = False,
    ) -> bool:
        """Take what somebody liked, disliked or saw; it counts in the next answer.

        Returns whether anything changed: the very same user, item, kind and time again change
        nothing, but for the stars with `overwrite`. Of several opinions of one person on one item
        the latest holds, by time and then by arrival. `seen` only keeps it from being recommended.

        Raises
        ------
        DataError
            Nobody knows the item, a value is none, or there is no room.
        """
        number = self._items.number(item, removed=True)
        return self._people.tell(user, number, kind, time, stars, overwrite=overwrite)

    def retract(self, user: str, item: str, kind: Kind, time: int) -> bool:
        """Take one event back; return whether it was known."""
        number = self._items.number(item, removed=True)
        return self._people.take_back(user, number, kind, time)

    def forget(self, user: str) -> int:
        """Forget a user; return how many events went. One of the dataset is a stranger then."""
        self._learned = [told for told in self._learned if told[0] != user]
        return self._people.forget(user)
