"""UAUC: the plain mean of AUC over the users who have both labels."""

from corarec.evaluate.metrics.auc import user_aucs
from corarec.evaluate.metrics.base import Measured, Metric, MetricRows, ratio
from corarec.types import FloatArray, IntArray


def uauc(user_ids: IntArray, labels: IntArray, scores: FloatArray) -> float | None:
    """Compute the plain mean of AUC over users with both labels; None where there are none."""
    return user_aucs(user_ids, labels, scores).mean


class Uauc(Metric):
    """The mean AUC over users."""

    key = "uauc"
    title = "UAUC"
    chance = 0.5
    needs_both_labels = True

    def of(self, rows: MetricRows) -> Measured:
        """Measure rows; without a user of both labels there is no value."""
        return _Uauc(rows)


class _Uauc(Measured):
    def __init__(self, rows: MetricRows) -> None:
        self._aucs = user_aucs(rows.users, rows.labels, rows.scores)
        self.value = self._aucs.mean

    def drawn(self, counts: FloatArray) -> FloatArray:
        """Return the mean over the drawn users with both labels: [D], NaN where none is drawn."""
        drawn = counts[self._aucs.user_ids]
        return ratio(self._aucs.values @ drawn, drawn.sum(axis=0))
