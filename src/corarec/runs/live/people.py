"""What a live run knows of people: the rows of the dataset and what they told it since."""

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from corarec.cf.feedback import Feedback
from corarec.data import Knowledge
from corarec.data.history import NEVER_OVER
from corarec.errors import DataError
from corarec.runs.live.checks import checked_name, checked_stars, checked_time
from corarec.runs.live.rows import PASSING, Passing, joined, with_told
from corarec.runs.live.types import KINDS, LABELS, Kind, Limits, Told, UserRows
from corarec.score.context import Context
from corarec.types import BoolArray, IntArray, Log


@dataclass
class _Person:
    told: dict[tuple[int, Kind, int], Told] = field(default_factory=dict)
    version: int = 0
    rows: UserRows | None = None


class People:
    """Users by their numbers, and what is known of each.

    Users of the dataset keep their numbers; others get the next free ones. Of several opinions of a
    user on one item the last holds (by time, then by arrival; what the dataset has came first).
    Memory: two small objects per event, and an entry per user who told anything.

    Parameters
    ----------
    knowledge
        What the dataset says.
    fitted
        [N] which of its rows took part in the fit of the CF model.
    until
        Rows of the dataset from this second on are not known.
    streams
        Whether CF reads the rows of all users up to a moment.
    """

    def __init__(
        self,
        knowledge: Knowledge,
        fitted: BoolArray,
        limits: Limits,
        *,
        until: int | None = None,
        streams: bool = False,
    ) -> None:
        line = knowledge.timeline
        count = len(line.user_ids)
        self.knowledge, self.limits, self.streams = knowledge, limits, streams
        self._times = np.zeros(count, np.int64) if line.times is None else line.times
        self._stars = np.full(count, np.nan) if line.stars is None else line.stars
        known = np.ones(count, dtype=np.bool_) if until is None else self._times < until
        self._known = known
        self._fitted = fitted & known
        self._first = np.searchsorted(line.user_ids, np.arange(knowledge.num_users + 2))
        stray = np.zeros(knowledge.num_users + 1, dtype=np.bool_)
        stray[line.user_ids[known & ~fitted]] = True
        self._stray = stray
        self._latest = int(self._times[known].max()) if known.any() else 0
        self._people: dict[int, _Person] = {}
        self._numbers: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._forgotten: set[int] = set()
        self._free: list[int] = []
        self._next = knowledge.num_users + 1
        self._versions: dict[int, int] = {}
        self._of_items: Counter[int] = Counter()
        """How many of the events are of an item."""
        self._order = 0
        self._events = 0
        self._passing = Passing()
        self._log: Log | None = None

    @property
    def events(self) -> int:
        """How many events were told and kept."""
        return self._events

    @property
    def num_told(self) -> int:
        """How many users told anything."""
        return len(self._people)

    @property
    def now(self) -> int:
        """The second after all that is known: what a service goes by, whatever clocks say."""
        return self._latest + 1

    def number(self, user: str) -> int:
        """Return the number of a user, 0 of a stranger."""
        number = self.knowledge.users.number(user)
        if number and number not in self._forgotten:
            return number
        return self._numbers.get(user, 0)

    def name(self, number: int) -> str | None:
        """Return the raw id of a user's number."""
        if number in self._names:
            return self._names[number]
        if 0 < number <= len(self.knowledge.users):
            return self.knowledge.users.raw(np.array([number]))[0]
        return None

    def tell(
        self,
        user: str,
        item: int,
        kind: Kind,
        time: int,
        stars: float | None = None,
        *,
        overwrite: bool = False,
    ) -> bool:
        """Take an event; return whether that changed anything.

        Raises
        ------
        DataError
            A value is none, or there is no room for it.
        """
        user = checked_name(user, "user")
        if kind not in KINDS:
            raise DataError(f"The kind of event is {kind!r:.60}; wanted is one of {KINDS}.")
        time, stars = checked_time(time), checked_stars(stars)
        number = self.number(user)
        person = self._people.get(number) if number else None
        key = item, kind, time
        if person is not None and (before := person.told.get(key)) is not None:
            if not overwrite or before.stars == stars:
                return False
            person.told[key] = replace(before, stars=stars)
            self._touch(number, person)
            return True
        told = 0 if person is None else len(person.told)
        if told >= self.limits.events_per_user or self._events >= self.limits.events:
            raise DataError(
                f"There are {self._events:,} events, {told:,} of them of user {user!r:.60}; kept "
                f"are {self.limits.events:,} in all and {self.limits.events_per_user:,} of one "
                "user. Fold them into the model with `corarec refresh`, or raise the limits."
            )
        if not number:
            number = self._new_number(user)
        person = self._people.setdefault(number, _Person())
        person.told[key] = Told(item, kind, time, stars, self._order)
        self._of_items[item] += 1
        self._order += 1
        self._events += 1
        self._latest = max(self._latest, time)
        self._touch(number, person)
        return True

    def take_back(self, user: str, item: int, kind: Kind, time: int) -> bool:
        """Drop one event; return whether there was one."""
        number = self.number(user)
        person = self._people.get(number)
        if person is None or person.told.pop((item, kind, time), None) is None:
            return False
        self._events -= 1
        self._release([item])
        self._touch(number, person)
        return True

    def forget(self, user: str) -> int:
        """Drop all that is known of a user; return how many events that were.

        One of the dataset is a stranger from then on, whatever number the dataset had.
        """
        number = self.number(user)
        if not number:
            return 0
        person = self._people.pop(number, _Person())
        self._events -= len(person.told)
        self._release([event.item for event in person.told.values()])
        self._versions[number] = self._versions.get(number, 0) + 1
        self._log = None
        if number <= self.knowledge.num_users:
            self._forgotten.add(number)
        else:
            del self._numbers[user], self._names[number]
            heapq.heappush(self._free, number)
        return len(person.told)

    def told(self, number: int) -> list[Told]:
        """Return what a user told the service, in the order of time, then of arrival."""
        person = self._people.get(number)
        events = [] if person is None else list(person.told.values())
        return sorted(events, key=lambda event: (event.time, event.order))

    def all_told(self) -> list[tuple[str, Told]]:
        """Return what everybody told, in the order of arrival."""
        told = [
            (str(self.name(number)), event)
            for number, person in self._people.items()
            for event in person.told.values()
        ]
        return sorted(told, key=lambda each: each[1].order)

    def forgotten(self) -> list[str]:
        """Return the users of the dataset who were forgotten."""
        return self.knowledge.users.raw(np.array(sorted(self._forgotten), dtype=np.int64))

    def has_learned(self, user: str, item: int, event: Told) -> bool:
        """Return whether a row of the dataset is this event."""
        place, line = self.of_dataset(self.number(user)), self.knowledge.timeline
        if event.kind not in LABELS or line.times is None:
            return False
        same = (line.item_ids[place] == item) & (line.labels[place] == LABELS[event.kind])
        return bool((same & (line.times[place] == event.time)).any())

    def of_dataset(self, number: int) -> slice:
        """Return the rows of the dataset that are of a user."""
        if not 0 < number <= self.knowledge.num_users or number in self._forgotten:
            return slice(0, 0)
        return slice(int(self._first[number]), int(self._first[number + 1]))

    def refers_to(self, item: int) -> bool:
        """Return whether anybody told anything of an item."""
        return item in self._of_items

    def is_known(self, row: int) -> bool:
        """Return whether a row of the dataset may be known."""
        return bool(self._known[row])

    def told_names(self) -> list[str]:
        """Return the users who are not of the dataset."""
        return list(self._numbers)

    def rows(self, number: int) -> UserRows:
        """Return all that is known of a user; of a stranger nothing."""
        if number >= PASSING:
            return self._passing.rows(number)
        person = self._people.get(number)
        if person is None:
            return self._rows(number, [])
        if person.rows is None:
            person.rows = self._rows(number, self.told(number))
        return person.rows

    def seen(self, number: int) -> IntArray:
        """Return the items that a user had anything to do with, each once, ascending."""
        told = np.array([event.item for event in self.told(number)], np.int64)
        items, line = self.rows(number).items, self.knowledge.timeline
        if line.met is not None:
            place = self.of_dataset(number)
            items = np.setdiff1d(items, line.item_ids[place][~line.met[place]])
        return np.unique(np.concatenate([items, told]))

    def context(self, number: int, moment: int = NEVER_OVER) -> Context:
        """Return what is known of a user before a moment."""
        rows = self.rows(number)
        liked, disliked = (rows.items_before(label, moment) for label in (1, 0))
        stars = (rows.stars_before(label, moment) for label in (1, 0))
        return Context(number, liked, disliked, *stars)

    def somebody(self, liked: Sequence[int], disliked: Sequence[int] = ()) -> Context:
        """Return the context of somebody who likes and dislikes these items and says no more."""
        likes, dislikes = np.array(liked, np.int64), np.array(disliked, np.int64)
        number = self._passing.number(likes, dislikes, self._latest)
        return Context(number, likes, dislikes)

    def changed(self, user_ids: IntArray) -> IntArray:
        """Return which of the users have rows that took no part in the fit: [R].

        Where CF reads the rows of all users, these are all users.
        """
        if self.streams:
            return user_ids
        return user_ids[[self._is_changed(number) for number in user_ids.tolist()]]

    def versions(self, user_ids: IntArray) -> IntArray:
        """Return a number for each user that changes with what is known of that user: [R]."""
        numbers = [self._versions.get(number, 0) for number in user_ids.tolist()]
        return np.array(numbers, dtype=np.int64)

    def feedback(self, user_ids: IntArray) -> Feedback:
        """Return all that is known of the users (ascending)."""
        parts = [self.rows(number) for number in user_ids.tolist()]
        numbers = np.repeat(user_ids, [len(part.items) for part in parts])
        return Feedback(
            users=user_ids,
            rows=joined(numbers, parts),
            fitted=np.concatenate([part.fitted for part in parts]),
            current=np.concatenate([part.current for part in parts]),
            popularity=self.knowledge.catalogue.popularity,
            num_users=self._next - 1,
        )

    def log(self) -> Log | None:
        """Return all rows that hold, of all users; None where CF does not read them."""
        if not self.streams:
            return None
        if self._log is None:
            line, kept = self.knowledge.timeline, self._known.copy()
            told = [number for number, person in self._people.items() if person.told]
            for number in [*self._forgotten, *told]:
                if number <= self.knowledge.num_users:
                    kept[self._first[number] : self._first[number + 1]] = False
            parts = [self.rows(number) for number in told]
            numbers = np.repeat(np.array(told, np.int64), [len(part.items) for part in parts])
            live = joined(numbers, parts)
            holds = np.concatenate([np.zeros(0, np.bool_), *(part.current for part in parts)])
            base = Log(line.user_ids, line.item_ids, line.labels, self._times, self._stars)
            self._log = base.take(np.flatnonzero(kept)).joined(live.take(np.flatnonzero(holds)))
        return self._log

    def _is_changed(self, number: int) -> bool:
        if number in self._people or number >= PASSING:
            return True
        return number <= self.knowledge.num_users and bool(self._stray[number])

    def _release(self, items: Sequence[int]) -> None:
        self._of_items.subtract(items)
        for item in items:
            if not self._of_items[item]:
                del self._of_items[item]

    def _touch(self, number: int, person: _Person) -> None:
        self._versions[number] = self._versions.get(number, 0) + 1
        person.rows = self._log = None

    def _new_number(self, user: str) -> int:
        if self._free:
            number = heapq.heappop(self._free)
        else:
            number, self._next = self._next, self._next + 1
        self._numbers[user], self._names[number] = number, user
        return number

    def _rows(self, number: int, told: Sequence[Told]) -> UserRows:
        line, place = self.knowledge.timeline, self.of_dataset(number)
        chosen = np.arange(place.start, place.stop)[self._known[place]]
        rows = UserRows(
            line.item_ids[chosen],
            line.labels[chosen],
            self._times[chosen],
            self._stars[chosen],
            self._fitted[chosen],
            np.ones(len(chosen), dtype=np.bool_),
        )
        return with_told(rows, told)
