"""What waits in the queue: requests, and what each of them wants next."""

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from corarec.score.context import Context
from corarec.serve.problems import Problem
from corarec.types import FloatArray, IntArray

MANY = 8
"""Items of one person from which on their common prompt is read once."""


@dataclass(frozen=True)
class Ask:
    """Pairs that a request wants scored."""

    parts: Sequence[tuple[Context, IntArray]]
    """People and items of each; `-1`, `-2`, ... are the items of `titles`."""
    titles: Sequence[str] = ()
    """Items that only this request knows."""

    def __len__(self) -> int:
        return sum(len(items) for _, items in self.parts)


@dataclass(frozen=True)
class Call:
    """Something that a request wants done in the scoring thread, as a step of its own."""

    do: Callable[[], Any]
    scores: Callable[[Any], int] = lambda _: 0
    """Returns how many pairs were scored for what it found."""


Work = Generator[Ask | Call, Any, Any]


@dataclass(eq=False)
class Job:
    """A request in the queue."""

    start: Callable[[], Work]
    """Called in the scoring thread."""
    pairs: int
    """An estimate of what it costs."""
    deadline: float
    """By the monotonic clock."""
    future: Future[Any] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)
    work: Work | None = None
    wanted: Ask | Call | None = None
    scores: FloatArray = field(default_factory=lambda: np.empty(0))
    begun: int = 0
    """How often its work began."""
    done: int = 0
    """How many of the wanted pairs have their score."""

    @property
    def shared(self) -> bool:
        """Whether it now wants many items of one person."""
        ask = self.wanted
        return isinstance(ask, Ask) and len(ask.parts) == 1 and len(ask) >= MANY

    def rows(self) -> list[tuple[Context, int]]:
        """Return the pairs that it wants, one by one."""
        assert isinstance(self.wanted, Ask)
        return [(context, item) for context, items in self.wanted.parts for item in items.tolist()]


def late() -> Problem:
    """Return the problem of a request whose deadline has passed."""
    return Problem(
        504, "deadline", "The request was not answered by its deadline and was dropped. Try again."
    )
