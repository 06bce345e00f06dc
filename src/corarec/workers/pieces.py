"""A long work in pieces: each is a function of the work and its number, whoever does it."""

import base64
import logging
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from corarec.errors import CorarecError
from corarec.types import Config, FloatArray
from corarec.workers.jobs import Job, Tell, read
from corarec.workers.parts import Parts
from corarec.workers.process import told_error

log = logging.getLogger(__name__)

Progress = Callable[[int], None]
"""Hears how many of what is counted were just done; less than 0 where it must be done again."""

MOST_DEATHS = 5
"""How many processes one piece may cost; and how many may end, one after the other, before they
have opened the work."""


class OpenWork(Protocol):
    """A work with all that it needs, in the memory of whoever does it."""

    def piece(self, number: int, progress: Progress) -> FloatArray:
        """Return what a piece gives, the same bits whoever is asked and whatever was asked before.

        `progress` may hear of what is done of it so far.
        """


class Work(Config, ABC):
    """A long work as plain values, so that other processes and machines understand it."""

    @property
    @abstractmethod
    def count(self) -> int:
        """How many pieces there are, numbered from 0."""

    @abstractmethod
    def size(self, number: int) -> int:
        """Return how much there is to do in a piece, in what progress counts."""

    def group(self, number: int) -> int:
        """Return a number that pieces share which one worker does best one after the other."""
        return number

    @abstractmethod
    def open(self) -> OpenWork:
        """Load what is needed."""


class Crew(Protocol):
    """Places at which pieces are done, by processes that may end at any moment."""

    count: int
    """How many places."""

    def start(self, place: int) -> None:
        """Let a process open the work; it tells `{"ready": true}` when it has."""

    def ask(self, place: int, number: int) -> None:
        """Let the process at a place do a piece."""

    def hear(self) -> tuple[int, dict[str, Any]]:
        """Wait for a message of any place.

        `ready`; `progress` of a piece; `piece`, its number, and what it gave, see `packed`;
        `remark`, for the user; `error` and its class; `died`, why its process ended.
        """

    def close(self) -> None:
        """End every process."""


class PiecesJob(Job):
    """Opens a work and does the pieces of it that it is asked for."""

    work: str
    """As `corarec.workers.jobs.written` has it."""

    def do(self, tell: Tell, asked: Iterable[Any] = ()) -> None:
        """Tell `ready`, and what every piece gives."""
        with remarks_told(tell):
            opened: OpenWork = read(self.work).open()
            tell({"ready": True})
            for number in asked:
                values = opened.piece(number, lambda count: tell({"progress": count}))
                tell({"piece": number, **packed(values)})


def do_pieces(
    work: Work,
    parts: Parts,
    hands: Callable[[], Crew] | OpenWork,
    progress: Progress,
    finished: Collection[int] = (),
) -> Generator[int, None, None]:
    """Do all pieces that are not done, and keep each; yield the numbers of all, done when yielded.

    A process that ends costs the piece that it was at, which is done again, and another process
    takes its place.

    Parameters
    ----------
    hands
        What makes the crew that does them; or the work itself, open in this process.
    finished
        Pieces that are done and have no part any more.

    Raises
    ------
    CorarecError
        A piece cannot be done: the error that it gave, or it ended so many processes.
    """
    done = parts.done().union(finished)
    left = [number for number in range(work.count) if number not in done]
    for number in sorted(done):
        progress(work.size(number))
        yield number
    if not callable(hands):
        for number in left:
            parts.write(number, hands.piece(number, progress))
            yield number
    elif left:
        crew = hands()
        try:
            yield from _Together(work, crew, parts, progress, left).numbers()
        finally:
            crew.close()


class _Together:
    """Pieces on their way to the places of a crew and back."""

    def __init__(
        self, work: Work, crew: Crew, parts: Parts, progress: Progress, left: list[int]
    ) -> None:
        self._work, self._crew, self._parts, self._progress = work, crew, parts, progress
        self._left = len(left)
        self._waiting: dict[int, deque[int]] = {}
        for number in left:
            self._waiting.setdefault(work.group(number), deque()).append(number)
        self._group: dict[int, int] = {}
        self._busy: dict[int, int] = {}
        self._told: Counter[int] = Counter()
        self._idle: set[int] = set()
        self._deaths: Counter[int] = Counter()
        self._early_deaths = 0
        self._remarks: set[str] = set()

    def numbers(self) -> Iterator[int]:
        """Yield every piece when it is done."""
        for place in range(min(self._crew.count, self._left)):
            self._crew.start(place)
        while self._left:
            place, message = self._crew.hear()
            if "ready" in message:
                self._early_deaths = 0
                self._give(place)
            elif "progress" in message:
                self._told[place] += message["progress"]
                self._progress(message["progress"])
            elif "piece" in message:
                number = self._busy.pop(place)
                self._parts.write(number, unpacked(message))
                self._progress(self._work.size(number) - self._told.pop(place, 0))
                self._left -= 1
                self._give(place)
                yield number
            elif "remark" in message:
                self._remark(message["remark"])
            elif "error" in message:
                raise told_error(message)
            else:
                self._died(place, message["died"])

    def _give(self, place: int) -> None:
        number = self._next(place)
        if number is None:
            self._idle.add(place)
        else:
            self._busy[place] = number
            self._crew.ask(place, number)

    def _next(self, place: int) -> int | None:
        """Take a piece: of the group of the place, of one that none is at, of the largest."""
        if not self._waiting:
            return None
        group = self._group.get(place)
        if group not in self._waiting:
            taken = set(self._group.values())
            free = (each for each in self._waiting if each not in taken)
            group = next(free, None)
            if group is None:
                group = max(self._waiting, key=lambda each: len(self._waiting[each]))
            self._group[place] = group
        number = self._waiting[group].popleft()
        if not self._waiting[group]:
            del self._waiting[group]
        return number

    def _died(self, place: int, reason: str) -> None:
        number = self._busy.pop(place, None)
        if number is not None:
            self._progress(-self._told.pop(place, 0))
            self._deaths[number] += 1
            if self._deaths[number] >= MOST_DEATHS:
                raise CorarecError(
                    f"Part {number} of {self._work.count} ended {MOST_DEATHS} processes, the last "
                    f"one so: {reason}. The others that are done are kept; the same command goes "
                    "on when the cause is removed. With less memory per process or fewer --workers "
                    "it may pass."
                )
            self._waiting.setdefault(self._work.group(number), deque()).appendleft(number)
            if self._idle:
                self._give(self._idle.pop())
        elif place in self._idle:
            self._idle.remove(place)
        else:
            self._early_deaths += 1
            if self._early_deaths >= MOST_DEATHS:
                raise CorarecError(
                    f"{MOST_DEATHS} processes ended one after the other before they were ready, "
                    f"the last one so: {reason}. Give fewer --workers if memory is short."
                )
        if self._waiting:
            self._crew.start(place)

    def _remark(self, text: str) -> None:
        if text not in self._remarks:
            self._remarks.add(text)
            log.warning("%s", text)


def packed(values: FloatArray) -> dict[str, Any]:
    """Return an array as JSON holds it, to the bit."""
    plain = np.ascontiguousarray(values, dtype="<f8")
    return {"shape": plain.shape, "values": base64.b64encode(plain.tobytes()).decode()}


def unpacked(message: dict[str, Any]) -> FloatArray:
    """Return the array that `packed` was given."""
    values = np.frombuffer(base64.b64decode(message["values"]), dtype="<f8")
    return values.reshape(message["shape"])


@contextmanager
def remarks_told(tell: Tell) -> Iterator[None]:
    """Pass what is logged for the user on as messages, within the block."""

    class Teller(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            tell({"remark": record.getMessage()})

    logger, teller = logging.getLogger("corarec"), Teller(logging.WARNING)
    logger.addHandler(teller)
    try:
        yield
    finally:
        logger.removeHandler(teller)
