"""What was measured of one state of a language model, example by example."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from corarec.types import FloatArray

Sort = Literal["share", "mean", "ratio"]
"""Of examples that are right; of values; of summed values to summed sizes."""


class Measure(NamedTuple):
    """One number of a table."""

    name: str
    sort: Sort
    higher_is_better: bool | None
    """None: neither, it says how far the model is from the untouched one."""
    against_untouched: bool = False
    """Whether it compares with the untouched model by itself, so that no test is needed."""


ACCURACY = Measure("accuracy, label", "share", True)
OPTIONS = Measure("accuracy, option's text", "share", True)
EXACT = Measure("exact match", "share", True)
ROUGE = Measure("ROUGE-L", "mean", True)
BITS = Measure("bits per byte", "ratio", False)
SAME = Measure("same greedy answer", "share", None, against_untouched=True)
MOVED = Measure("log-probability moved", "mean", None, against_untouched=True)
REPEATED = Measure("repetition, ROUGE-L", "mean", True)
REPEATED_BITS = Measure("repetition, bits per byte", "ratio", False)
MEASURES = {
    measure.name: measure
    for measure in (
        ACCURACY,
        OPTIONS,
        EXACT,
        ROUGE,
        BITS,
        SAME,
        MOVED,
        REPEATED,
        REPEATED_BITS,
    )
}


@dataclass(frozen=True)
class Values:
    """The values of one measure, one for each example of a task."""

    values: FloatArray
    """[N]"""
    rows: tuple[int, ...]
    """[N] the examples' rows in their file."""
    sizes: FloatArray | None = None
    """[N] bytes, where the measure is a ratio."""
    answers: tuple[str, ...] | None = None
    """[N] what the model wrote."""


@dataclass
class Measured:
    """All of one state of the model."""

    values: dict[tuple[str, str], Values] = field(default_factory=dict)
    """(task, measure) -> values"""
    digest: str = ""
    """SHA-256 of all logits that were compared with the untouched model's."""
    seconds: float = 0.0


Advance = Callable[[int], None]
"""Hears how many texts were just read."""
Parts = Iterator[tuple[str, Measure, Values]]
"""Task, measure and values, one after the other."""

Measurements = dict[str, Measured]
"""State -> what was measured of it."""
