"""What a service knows of people: the rows of the dataset and what they told it since."""

import heapq
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np

from corarec.cf.feedback import Feedback
from corarec.data import Knowledge
from corarec.data.history import NEVER_OVER
from corarec.errors import DataError
from corarec.score.context import Context
from corarec.types import BoolArray, FloatArray, IntArray, Log

Kind = Literal["like", "dislike", "seen"]
KINDS: tuple[str, ...] = get_args(Kind)
LABELS = {"like": 1, "dislike": 0}
LAST_SECOND = 253_402_300_799
"""The end of the year 9999."""
PASSING = 1 << 40
"""From here on numbers are of people who named what they like and nothing else."""
MOST_PASSING = 4096


@dataclass(frozen=True)
class Limits:
    """How much a service keeps; beyond it refuses."""

    events: int = 5_000_000
    events_per_user: int = 10_000
    items: int = 200_000
    title_chars: int = 2_000


@dataclass(frozen=True)
class Told:
    """One thing that somebody told the service."""

    item: int
    kind: Kind
    time: int
    stars: float | None
    order: int
    """Of arrival."""

    @property
    def key(self) -> tuple[int, Kind, int]:
        """What makes it the very same event."""
        return self.item, self.kind, self.time


@dataclass(frozen=True)
class UserRows:
    """All that is known of one user, in the order of time, then of arrival."""

    items: IntArray
    """[n]"""
    labels: IntArray
    """[n] 0 or 1"""
    times: IntArray
    """[n] UTC seconds; of rows without a time the first second there is"""
    stars: FloatArray
    """[n] NaN for none"""
    fitted: BoolArray
    """[n] part of the fit of the CF model"""
    current: BoolArray
    """[n] still hold"""

    def items_before(self, label: int, moment: int) -> IntArray:
        """Return the items of one label before a moment, oldest first."""
        return self.items[self.current & (self.labels == label) & (self.times < moment)]


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
        self._order = 0
        self._events = 0
        self._passing: OrderedDict[tuple[bytes, bytes], int] = OrderedDict()
        self._passing_rows: dict[int, UserRows] = {}
        self._next_passing = PASSING
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
        return any(key[0] == item for person in self._people.values() for key in person.told)

    def is_known(self, row: int) -> bool:
        """Return whether a row of the dataset may be known."""
        return bool(self._known[row])

    def told_names(self) -> list[str]:
        """Return the users who are not of the dataset."""
        return list(self._numbers)

    def rows(self, number: int) -> UserRows:
        """Return all that is known of a user; of a stranger nothing."""
        if number >= PASSING:
            return self._passing_rows.get(number, _NOTHING)
        person = self._people.get(number)
        if person is None:
            return self._rows(number, [])
        if person.rows is None:
            person.rows = self._rows(number, self.told(number))
        return person.rows

    def seen(self, number: int) -> IntArray:
        """Return the items that a user had anything to do with, each once, ascending."""
        told = [event.item for event in self.told(number)]
        return np.unique(np.concatenate([self.rows(number).items, np.array(told, np.int64)]))

    def context(self, number: int, moment: int = NEVER_OVER) -> Context:
        """Return what is known of a user before a moment."""
        rows = self.rows(number)
        return Context(number, rows.items_before(1, moment), rows.items_before(0, moment))

    def somebody(self, liked: Sequence[int], disliked: Sequence[int] = ()) -> Context:
        """Return the context of somebody who likes and dislikes these items and says no more."""
        likes, dislikes = np.array(liked, np.int64), np.array(disliked, np.int64)
        key = likes.tobytes(), dislikes.tobytes()
        number = self._passing.pop(key, None)
        if number is None:
            number, self._next_passing = self._next_passing, self._next_passing + 1
            items = np.concatenate([dislikes, likes])
            count = len(items)
            self._passing_rows[number] = UserRows(
                items,
                np.repeat(np.array([0, 1]), [len(dislikes), len(likes)]),
                np.full(count, self._latest),
                np.full(count, np.nan),
                np.zeros(count, np.bool_),
                np.ones(count, np.bool_),
            )
        self._passing[key] = number
        while len(self._passing) > MOST_PASSING:
            _, oldest = self._passing.popitem(last=False)
            del self._passing_rows[oldest]
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
            rows=_joined(numbers, parts),
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
            live = _joined(numbers, parts)
            holds = np.concatenate([np.zeros(0, np.bool_), *(part.current for part in parts)])
            base = Log(line.user_ids, line.item_ids, line.labels, self._times, self._stars)
            self._log = base.take(np.flatnonzero(kept)).joined(live.take(np.flatnonzero(holds)))
        return self._log

    def _is_changed(self, number: int) -> bool:
        if number in self._people or number >= PASSING:
            return True
        return number <= self.knowledge.num_users and bool(self._stray[number])

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
        opinions = [event for event in told if event.kind in LABELS]
        items = np.concatenate([line.item_ids[chosen], _column(opinions, lambda e: e.item)])
        labels = np.concatenate([line.labels[chosen], _column(opinions, lambda e: LABELS[e.kind])])
        times = np.concatenate([self._times[chosen], _column(opinions, lambda e: e.time)])
        stars = [math.nan if event.stars is None else event.stars for event in opinions]
        all_stars = np.concatenate([self._stars[chosen], np.array(stars, np.float64)])
        fitted = np.concatenate([self._fitted[chosen], np.zeros(len(opinions), np.bool_)])
        order = np.argsort(times, kind="stable")
        current = np.ones(len(items), dtype=np.bool_)
        if opinions:
            # Only where the service was told of an item, or the dataset would lose its own rows.
            latest = {item: place for place, item in enumerate(items[order].tolist())}
            asked = {event.item for event in opinions}
            holds = [
                item not in asked or latest[item] == place
                for place, item in enumerate(items[order].tolist())
            ]
            current = np.array(holds, dtype=np.bool_)
        return UserRows(
            items[order], labels[order], times[order], all_stars[order], fitted[order], current
        )


def checked_name(text: str, what: str, most: int = 500) -> str:
    """Return a name as it is.

    Raises
    ------
    DataError
        It is no text, empty, too long, or holds control characters.
    """
    if not isinstance(text, str) or not text.strip() or len(text) > most:
        shown = f"{text!r:.60}" if isinstance(text, str) else type(text).__name__
        raise DataError(
            f"The {what} is {shown}; wanted is a text of 1 to {most:,} characters that is not blank"
        )
    if not text.isprintable() or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise DataError(f"The {what} {text!r:.60} holds characters that cannot be printed.")
    return text


def checked_time(time: int) -> int:
    """Return a time in UTC seconds.

    Raises
    ------
    DataError
        It is no whole number, or not between 1970 and 9999.
    """
    whole = isinstance(time, int | np.integer) and not isinstance(time, bool)
    if not whole or not 0 <= int(time) <= LAST_SECOND:
        raise DataError(
            f"The time is {time!r:.60}; wanted are whole UTC seconds from 0 to {LAST_SECOND}."
        )
    return int(time)


def checked_stars(stars: float | None) -> float | None:
    """Return a rating, or None.

    Raises
    ------
    DataError
        It is no finite number.
    """
    if stars is None:
        return None
    number = isinstance(stars, int | float | np.number) and not isinstance(stars, bool)
    if not number or not math.isfinite(stars) or abs(stars) > 1e9:
        raise DataError(f"The rating is {stars!r:.60}; wanted is a finite number or none.")
    return float(stars)


def _column(events: Sequence[Told], value: Callable[[Told], int]) -> IntArray:
    return np.array([value(event) for event in events], dtype=np.int64)


def _joined(numbers: IntArray, parts: Sequence[UserRows]) -> Log:
    if not parts:
        parts = [_NOTHING]
    return Log(
        numbers,
        np.concatenate([part.items for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.stars for part in parts]),
    )


_NONE, _NO = np.zeros(0, np.int64), np.zeros(0, np.bool_)
_NOTHING = UserRows(_NONE, _NONE, _NONE, np.zeros(0), _NO, _NO)
