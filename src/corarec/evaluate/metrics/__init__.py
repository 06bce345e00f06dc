"""Metrics of scores and of rankings, one file each, by the name under which results hold them."""

from collections.abc import Iterable, Sequence

from corarec.errors import ConfigError, did_you_mean
from corarec.evaluate.metrics.accuracy import Accuracy
from corarec.evaluate.metrics.auc import Auc, UserAucs, auc, user_aucs
from corarec.evaluate.metrics.base import Measured, Metric, MetricRows
from corarec.evaluate.metrics.capped_recall import CappedRecall
from corarec.evaluate.metrics.ece import Ece
from corarec.evaluate.metrics.hr import HitRate
from corarec.evaluate.metrics.logloss import LogLoss
from corarec.evaluate.metrics.mrr import Mrr
from corarec.evaluate.metrics.ndcg import Ndcg
from corarec.evaluate.metrics.ranking import CutoffMetric, RankingMetric, RelevantRanks
from corarec.evaluate.metrics.recall import Recall
from corarec.evaluate.metrics.recommended import COVERAGE, NOVELTY, TITLES, coverage, novelty
from corarec.evaluate.metrics.uauc import Uauc, uauc

METRICS: dict[str, type[Metric]] = {
    metric.key: metric for metric in (Auc, Uauc, LogLoss, Accuracy, Ece)
}
DEFAULT_METRICS = ("auc", "uauc")

_AT_CUTOFFS: tuple[type[CutoffMetric], ...] = (Recall, CappedRecall, Ndcg, HitRate)
RANKING_METRICS: dict[str, type[RankingMetric]] = {
    **{metric.key: metric for metric in _AT_CUTOFFS},
    Mrr.key: Mrr,
}
_TITLES = {key: metric.title for key, metric in (METRICS | RANKING_METRICS).items()} | TITLES

__all__ = [
    "COVERAGE",
    "DEFAULT_METRICS",
    "METRICS",
    "NOVELTY",
    "RANKING_METRICS",
    "Measured",
    "Metric",
    "MetricRows",
    "RankingMetric",
    "RelevantRanks",
    "UserAucs",
    "auc",
    "chance",
    "coverage",
    "larger_is_better",
    "metric_named",
    "metric_title",
    "metrics_named",
    "novelty",
    "ranking_metrics",
    "uauc",
    "user_aucs",
]


def metric_named(name: str) -> Metric:
    """Return a metric by its name, such as `auc` or `accuracy@0.7`.

    Raises
    ------
    ConfigError
        There is no such metric, or it does not take this number.
    """
    key, at, number = name.partition("@")
    if key not in METRICS:
        raise ConfigError(
            f"There is no metric {name!r}; choose one of {', '.join(METRICS)}. "
            f"{did_you_mean(key, list(METRICS))}".strip()
        )
    return METRICS[key].parse(number) if at else METRICS[key]()


def metrics_named(names: Sequence[str]) -> dict[str, Metric]:
    """Return metrics by name, each once.

    Raises
    ------
    ConfigError
        As in `metric_named`, or there are none.
    """
    if not names:
        raise ConfigError(f"No metric was chosen; name one or several of {', '.join(METRICS)}.")
    return {name: metric_named(name) for name in names}


def ranking_metrics(cutoffs: Iterable[int]) -> list[RankingMetric]:
    """Return every metric of rankings, those of the first items at each cutoff."""
    return [*(metric(cutoff) for cutoff in cutoffs for metric in _AT_CUTOFFS), Mrr()]


def metric_title(name: str) -> str:
    """Return what a metric is called in tables, one of another version by its name."""
    key, at, number = name.partition("@")
    return f"{_TITLES.get(key, key.upper())}{at}{number}"


def larger_is_better(name: str) -> bool:
    """Whether a larger value is a better one; so it is taken to be for an unknown metric."""
    metric = METRICS.get(name.partition("@")[0])
    return metric is None or metric.larger_is_better


def chance(name: str) -> float | None:
    """Return what guessing gives; None where that depends on the rows."""
    metric = METRICS.get(name.partition("@")[0])
    return metric.chance if metric else None
