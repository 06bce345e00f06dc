"""A system on one part of the rows: the mean of its seeds' metrics, as they are and in draws."""

from collections.abc import Sequence

import numpy as np

from corarec.evaluate.bootstrap import UserBootstrap, WeightedMetrics
from corarec.evaluate.metrics import auc, user_aucs
from corarec.types import FloatArray, ScoreTable

METRICS = ("auc", "uauc")


class SystemPart:
    """The score tables of one system, one per seed, over the same non-empty or empty rows."""

    def __init__(self, seeds: Sequence[ScoreTable]) -> None:
        users, codes = np.unique(seeds[0].user_ids, return_inverse=True)
        per_user = [user_aucs(codes, table.labels, table.scores) for table in seeds]
        self.rows = len(seeds[0])
        self.positives = int(seeds[0].labels.sum())
        self.users = len(users)
        self.users_in_uauc = len(per_user[0].user_ids)
        # Labels are the same for every seed, so a metric is defined for all of them or for none.
        self.values: dict[str, list[float]] = {
            "auc": _defined([auc(table.labels, table.scores) for table in seeds]),
            "uauc": _defined([aucs.mean for aucs in per_user]),
        }
        self._weighted = [WeightedMetrics(codes, table.labels, table.scores) for table in seeds]

    def resampled(self, metric: str, counts: FloatArray) -> FloatArray:
        """Return the mean over seeds of a metric, each user counted as often as drawn: [D].

        Parameters
        ----------
        metric
            `auc` or `uauc`.
        counts
            [users, D]
        """
        draws = [getattr(weighted, metric)(counts) for weighted in self._weighted]
        return np.asarray(np.mean(draws, axis=0))


def resample(
    systems: Sequence[SystemPart], bootstrap: UserBootstrap
) -> list[dict[str, FloatArray]]:
    """Draw users once for all systems: for each system, metric -> [draws]."""
    metrics = [metric for metric in METRICS if systems[0].values[metric]]
    chunks: list[dict[str, list[FloatArray]]] = [{m: [] for m in metrics} for _ in systems]
    for counts in bootstrap.counts() if metrics else ():
        for system, chunk in zip(systems, chunks, strict=True):
            for metric, draws in chunk.items():
                draws.append(system.resampled(metric, counts))
    return [{metric: np.concatenate(draws) for metric, draws in c.items()} for c in chunks]


def _defined(values: list[float | None]) -> list[float]:
    return [value for value in values if value is not None]
