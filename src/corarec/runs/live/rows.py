"""The rows of users: of one with what was told since, of passers-by, of several as one log."""

import math
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from corarec.runs.live.types import LABELS, Told, UserRows
from corarec.types import IntArray, Log

PASSING = 1 << 40
"""From here on numbers are of people who named what they like and nothing else."""
MOST_PASSING = 4096
MOST_ROWS = 1 << 20
"""What all of them named: more than the requests name that a service lets wait by default."""
_NONE, _NO = np.zeros(0, np.int64), np.zeros(0, np.bool_)
NOTHING = UserRows(_NONE, _NONE, _NONE, np.zeros(0), _NO, _NO)


class Passing:
    """People who named what they like and nothing else, by their numbers; the latest are kept."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[tuple[bytes, bytes], int] = OrderedDict()
        self._rows: dict[int, UserRows] = {}
        self._count = 0
        self._next = PASSING

    def rows(self, number: int) -> UserRows:
        """Return what one of them named."""
        return self._rows.get(number, NOTHING)

    def number(self, likes: IntArray, dislikes: IntArray, time: int) -> int:
        """Return the number of who likes and dislikes these items; who comes first does so now."""
        key = likes.tobytes(), dislikes.tobytes()
        number = self._numbers.pop(key, None)
        if number is None:
            number, self._next = self._next, self._next + 1
            items = np.concatenate([dislikes, likes])
            count = len(items)
            self._rows[number] = UserRows(
                items,
                np.repeat(np.array([0, 1]), [len(dislikes), len(likes)]),
                np.full(count, time),
                np.full(count, np.nan),
                np.zeros(count, np.bool_),
                np.ones(count, np.bool_),
            )
            self._count += count
        self._numbers[key] = number
        while len(self._numbers) > MOST_PASSING or self._count > MOST_ROWS:
            _, oldest = self._numbers.popitem(last=False)
            self._count -= len(self._rows.pop(oldest).items)
        return number


def joined(numbers: IntArray, parts: Sequence[UserRows]) -> Log:
    """Return the rows of several users; numbers: [N] the user of each row."""
    if not parts:
        parts = [NOTHING]
    return Log(
        numbers,
        np.concatenate([part.items for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.stars for part in parts]),
    )


def with_told(rows: UserRows, told: Sequence[Told]) -> UserRows:
    """Return a user's rows of the dataset with what was told since, in the order of time."""
    opinions = [event for event in told if event.kind in LABELS]
    items = np.concatenate([rows.items, _column(opinions, lambda e: e.item)])
    labels = np.concatenate([rows.labels, _column(opinions, lambda e: LABELS[e.kind])])
    times = np.concatenate([rows.times, _column(opinions, lambda e: e.time)])
    stars = [math.nan if event.stars is None else event.stars for event in opinions]
    all_stars = np.concatenate([rows.stars, np.array(stars, np.float64)])
    fitted = np.concatenate([rows.fitted, np.zeros(len(opinions), np.bool_)])
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


def _column(events: Sequence[Told], value: Callable[[Told], int]) -> IntArray:
    return np.array([value(event) for event in events], dtype=np.int64)
