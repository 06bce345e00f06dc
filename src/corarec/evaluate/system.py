"""A system on one part of the rows: the mean of its seeds' metrics, as they are and in draws."""

from collections.abc import Mapping, Sequence

import numpy as np

from corarec.evaluate.bootstrap import UserBootstrap
from corarec.evaluate.metrics import Measured, Metric, MetricRows
from corarec.types import FloatArray, ScoreTable


class SystemPart:
    """The score tables of one system, one per seed, over the same non-empty or empty rows.

    Parameters
    ----------
    seeds
        The tables.
    metrics
        What is measured, by name.
    """

    def __init__(self, seeds: Sequence[ScoreTable], metrics: Mapping[str, Metric]) -> None:
        labels = seeds[0].labels
        users, codes = np.unique(seeds[0].user_ids, return_inverse=True)
        enjoyed = np.bincount(codes, weights=labels, minlength=len(users))
        self.rows = len(seeds[0])
        self.positives = int(labels.sum())
        self.users = len(users)
        self.users_in_uauc = int(np.count_nonzero((enjoyed > 0) & (enjoyed < np.bincount(codes))))
        rows = [MetricRows(codes, labels, table.scores) for table in seeds]
        logits = all(table.logits for table in seeds)
        # Labels are the same for every seed, so a metric is defined for all of them or for none.
        self._measured: dict[str, list[Measured]] = {
            name: _defined([metric.of(one) for one in rows])
            if logits or not metric.needs_logits
            else []
            for name, metric in metrics.items()
        }
        self.values: dict[str, list[float]] = {
            name: [one.value for one in measured if one.value is not None]
            for name, measured in self._measured.items()
        }

    def resampled(self, metric: str, counts: FloatArray) -> FloatArray:
        """Return the mean over seeds of a metric, each user counted as often as drawn: [D].

        Parameters
        ----------
        metric
            Its name.
        counts
            [users, D]
        """
        draws = [measured.drawn(counts) for measured in self._measured[metric]]
        return np.asarray(np.mean(draws, axis=0))


def resample(
    systems: Sequence[SystemPart], bootstrap: UserBootstrap
) -> list[dict[str, FloatArray]]:
    """Draw users once for all systems: for each system, metric that all have -> [draws]."""
    metrics = [name for name in systems[0].values if all(one.values[name] for one in systems)]
    chunks: list[dict[str, list[FloatArray]]] = [{m: [] for m in metrics} for _ in systems]
    for counts in bootstrap.counts() if metrics else ():
        for system, chunk in zip(systems, chunks, strict=True):
            for metric, draws in chunk.items():
                draws.append(system.resampled(metric, counts))
    return [{metric: np.concatenate(draws) for metric, draws in c.items()} for c in chunks]


def _defined(measured: list[Measured]) -> list[Measured]:
    return [one for one in measured if one.value is not None]
