"""Metrics of scores, one file each, by the name under which results hold them."""

from collections.abc import Sequence

from corarec.errors import ConfigError, did_you_mean
from corarec.evaluate.metrics.accuracy import Accuracy
from corarec.evaluate.metrics.auc import Auc, UserAucs, auc, user_aucs
from corarec.evaluate.metrics.base import Measured, Metric, MetricRows
from corarec.evaluate.metrics.ece import Ece
from corarec.evaluate.metrics.logloss import LogLoss
from corarec.evaluate.metrics.uauc import Uauc, uauc

METRICS: dict[str, type[Metric]] = {
    metric.key: metric for metric in (Auc, Uauc, LogLoss, Accuracy, Ece)
}
DEFAULT_METRICS = ("auc", "uauc")

__all__ = [
    "DEFAULT_METRICS",
    "METRICS",
    "Measured",
    "Metric",
    "MetricRows",
    "UserAucs",
    "auc",
    "chance",
    "larger_is_better",
    "metric_named",
    "metric_title",
    "metrics_named",
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


def metric_title(name: str) -> str:
    """Return what a metric is called in tables, one of another version by its name."""
    key, at, number = name.partition("@")
    return f"{METRICS[key].title if key in METRICS else key.upper()}{at}{number}"


def larger_is_better(name: str) -> bool:
    """Whether a larger value is a better one; so it is taken to be for an unknown metric."""
    metric = METRICS.get(name.partition("@")[0])
    return metric is None or metric.larger_is_better


def chance(name: str) -> float | None:
    """Return what guessing gives; None where that depends on the rows."""
    metric = METRICS.get(name.partition("@")[0])
    return metric.chance if metric else None
