"""What a metric is: rows in, a value out, and its value in every draw of users."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from corarec.errors import ConfigError
from corarec.types import FloatArray, IntArray


@dataclass(frozen=True)
class MetricRows:
    """The rows that a metric is computed on."""

    users: IntArray
    """[N] users numbered 0..U-1"""
    labels: IntArray
    """[N] 0 or 1"""
    scores: FloatArray
    """[N] logits"""

    @property
    def num_users(self) -> int:
        """How many users there are, U."""
        return int(self.users.max(initial=-1)) + 1


class Measured(ABC):
    """A metric on one table of rows."""

    value: float | None
    """On the rows as they are; None where the metric has no value on them."""

    @abstractmethod
    def drawn(self, counts: FloatArray) -> FloatArray:
        """Return the metric with the rows of each user as often as the user was drawn.

        Parameters
        ----------
        counts
            [U, D]

        Returns
        -------
        [D], NaN where a draw does not define the metric.
        """


class Metric(ABC):
    """One metric; its class stands in `METRICS` by `key`."""

    key: ClassVar[str]
    title: ClassVar[str]
    """What it is called in tables."""
    larger_is_better: ClassVar[bool] = True
    chance: ClassVar[float | None] = None
    """What guessing gives, where that does not depend on the rows."""
    needs_both_labels: ClassVar[bool] = False
    needs_logits: ClassVar[bool] = False
    """Whether it reads the sigmoid of a score as a probability, and not only the order."""

    @classmethod
    def parse(cls, number: str) -> "Metric":
        """Return the metric with what stands behind the `@` of its name.

        Raises
        ------
        ConfigError
            It takes no number, or not this one.
        """
        raise ConfigError(f"{cls.key} takes no number, and {cls.key}@{number} gives one.")

    @abstractmethod
    def of(self, rows: MetricRows) -> Measured:
        """Measure rows; there may be none."""


class RowMean(Measured):
    """The mean of a number per row.

    Parameters
    ----------
    rows
        The rows.
    values
        [N] the number of each.
    """

    def __init__(self, rows: MetricRows, values: FloatArray) -> None:
        self.value = float(values.mean()) if len(values) else None
        self._sums = np.bincount(rows.users, weights=values, minlength=rows.num_users)
        self._rows = np.bincount(rows.users, minlength=rows.num_users)

    def drawn(self, counts: FloatArray) -> FloatArray:
        """Return the mean over the drawn rows: [D]."""
        return ratio(self._sums @ counts, self._rows @ counts)


def ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """Divide, with NaN where the denominator is 0."""
    undefined = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)
