"""Log loss: how surprised the probabilities are by the labels, in nats per row."""

import numpy as np

from corarec.evaluate.metrics.base import Measured, Metric, MetricRows, RowMean


class LogLoss(Metric):
    """The mean of `-log p` of the label that came, where `p` is the sigmoid of the score."""

    key = "logloss"
    title = "Log loss"
    larger_is_better = False
    needs_logits = True

    def of(self, rows: MetricRows) -> Measured:
        """Measure rows; a sure and wrong score gives a large loss, never an infinite one."""
        signed = np.where(rows.labels == 1, rows.scores, -rows.scores)
        return RowMean(rows, np.logaddexp(0.0, -signed))
