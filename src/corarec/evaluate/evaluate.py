"""Scores in, metrics with intervals out."""

from collections.abc import Sequence

import numpy as np

from corarec.evaluate.bootstrap import BootstrapConfig, UserBootstrap
from corarec.evaluate.metrics import DEFAULT_METRICS, metrics_named
from corarec.evaluate.parts import Parts
from corarec.evaluate.result import Estimate, Evaluation, PartEvaluation
from corarec.evaluate.rows import Tables, all_parts, checked_seeds
from corarec.evaluate.system import SystemPart, resample
from corarec.types import FloatArray


def evaluate(
    tables: Tables,
    name: str = "system",
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    parts: Parts | None = None,
    config: BootstrapConfig | None = None,
) -> Evaluation:
    """Compute metrics with user-clustered intervals, over all rows and over each part.

    Parameters
    ----------
    tables
        The scores; with one table per seed, every metric is the mean over seeds.
    name
        What the result is called in tables.
    metrics
        Names of `corarec.evaluate.metrics.METRICS`. One that reads scores as logits is None for
        a table whose scores are none.
    parts
        Named masks of rows; by default warm and cold. An empty or one-label part is no error: its
        metrics are None.
    config
        The bootstrap; by default 1,000 draws, 95 %.

    Raises
    ------
    ConfigError
        There is no such metric.
    DataError
        There are no rows, all labels are the same, a label is not 0 or 1, a score is not finite,
        the tables of several seeds are not over the same rows, or a mask has a wrong length.
    """
    config = config or BootstrapConfig()
    chosen = metrics_named(metrics)
    seeds = checked_seeds(tables, name, chosen)
    return Evaluation(
        name=name,
        seeds=len(seeds),
        parts={
            part: _evaluate_part(SystemPart([table.take(rows) for table in seeds], chosen), config)
            for part, rows in all_parts(seeds[0], parts).items()
        },
        bootstrap=config,
    )


def _evaluate_part(system: SystemPart, config: BootstrapConfig) -> PartEvaluation:
    bootstrap = UserBootstrap(config, system.users, system.rows)
    (draws,) = resample([system], bootstrap)
    return PartEvaluation(
        rows=system.rows,
        positives=system.positives,
        users=system.users,
        users_in_uauc=system.users_in_uauc,
        metrics={
            metric: estimate(values, bootstrap, draws.get(metric))
            for metric, values in system.values.items()
        },
    )


def estimate(
    values: list[float], bootstrap: UserBootstrap, draws: FloatArray | None
) -> Estimate | None:
    """Make a metric of its values, one per seed, and its draws ([draws]); None without any."""
    interval = None if draws is None else bootstrap.interval(draws)
    if interval is None:
        return None
    low, high = interval
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Estimate(value=float(np.mean(values)), low=low, high=high, spread=spread)
