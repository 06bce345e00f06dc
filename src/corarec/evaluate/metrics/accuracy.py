"""Accuracy at a threshold of the probability: `accuracy`, or `accuracy@0.7`."""

from dataclasses import dataclass

from scipy.special import expit

from corarec.errors import ConfigError
from corarec.evaluate.metrics.base import Measured, Metric, MetricRows, RowMean


@dataclass(frozen=True)
class Accuracy(Metric):
    """The share of rows whose label is told by whether the probability reaches a threshold."""

    key = "accuracy"
    title = "Accuracy"
    needs_logits = True

    threshold: float = 0.5

    @classmethod
    def parse(cls, number: str) -> "Accuracy":
        """Return accuracy at another threshold, between 0 and 1."""
        try:
            threshold = float(number)
        except ValueError:
            threshold = float("nan")
        if not 0 < threshold < 1:
            raise ConfigError(
                f"accuracy@{number} has no threshold of a probability: write a number between 0 "
                "and 1, such as accuracy@0.7."
            )
        return cls(threshold)

    def of(self, rows: MetricRows) -> Measured:
        """Measure rows."""
        told = (expit(rows.scores) >= self.threshold) == (rows.labels == 1)
        return RowMean(rows, told.astype(float))
