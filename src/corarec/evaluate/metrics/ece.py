"""Expected calibration error (Guo et al. 2017): `ece` over 15 bins, or `ece@10`."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from corarec.errors import ConfigError
from corarec.evaluate.metrics.base import Measured, Metric, MetricRows, ratio
from corarec.types import FloatArray

_MOST_BINS = 1000


@dataclass(frozen=True)
class Ece(Metric):
    """How far predicted and observed lie apart: the mean over bins, weighted by their rows.

    Bins of the probability have equal width; one holds its lower end, the last both its ends.
    """

    key = "ece"
    title = "ECE"
    larger_is_better = False
    needs_logits = True

    bins: int = 15

    @classmethod
    def parse(cls, number: str) -> "Ece":
        """Return the error over another number of bins."""
        if not number.isdecimal() or not 1 <= int(number) <= _MOST_BINS:
            raise ConfigError(
                f"ece@{number} has no number of bins: write one from 1 to {_MOST_BINS}, such as "
                "ece@10."
            )
        return cls(int(number))

    def of(self, rows: MetricRows) -> Measured:
        """Measure rows."""
        return _Ece(rows, self.bins)


class _Ece(Measured):
    def __init__(self, rows: MetricRows, bins: int) -> None:
        probabilities = expit(rows.scores)
        bin_of_row = np.minimum((probabilities * bins).astype(np.int64), bins - 1)
        # What each user's rows add to the gap of each bin: a draw is then a product, however many
        # rows there are.
        cells = bin_of_row * rows.num_users + rows.users
        gaps = np.bincount(
            cells, weights=probabilities - rows.labels, minlength=bins * rows.num_users
        )
        self._gaps = gaps.reshape(bins, rows.num_users)
        self._rows = np.bincount(rows.users, minlength=rows.num_users)
        everyone = np.ones((rows.num_users, 1))
        self.value = float(self.drawn(everyone)[0]) if len(rows.users) else None

    def drawn(self, counts: FloatArray) -> FloatArray:
        """Return the error over the drawn rows: [D]."""
        return ratio(np.abs(self._gaps @ counts).sum(axis=0), self._rows @ counts)
