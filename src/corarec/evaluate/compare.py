"""The paired test of two systems on the same rows."""

from collections.abc import Sequence

import numpy as np

from corarec.evaluate.bootstrap import BootstrapConfig, UserBootstrap
from corarec.evaluate.metrics import DEFAULT_METRICS, metrics_named
from corarec.evaluate.parts import Parts
from corarec.evaluate.result import Comparison, Difference, PartComparison
from corarec.evaluate.rows import Tables, all_parts, check_same_rows, checked_seeds
from corarec.evaluate.system import SystemPart, resample
from corarec.types import FloatArray

_ROUNDING = 1e-12
"""Differences smaller than this come from the order of summation: they are zero."""


def compare(
    first: Tables,
    second: Tables,
    names: tuple[str, str] = ("first", "second"),
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    parts: Parts | None = None,
    config: BootstrapConfig | None = None,
) -> Comparison:
    """Test first minus second by a paired bootstrap over users.

    With several seeds per system the statistic is the difference of the means over seeds, and
    users are drawn jointly for all of them; the two may have different numbers of seeds. The
    interval speaks of other users, not of other seeds.

    Raises
    ------
    ConfigError, DataError
        As in `evaluate`, or the two are not over the same rows in the same order.
    """
    config = config or BootstrapConfig()
    chosen = metrics_named(metrics)
    first_seeds = checked_seeds(first, names[0], chosen)
    second_seeds = checked_seeds(second, names[1], chosen)
    check_same_rows(first_seeds[0], second_seeds[0], names[0], names[1])
    return Comparison(
        first=names[0],
        second=names[1],
        first_seeds=len(first_seeds),
        second_seeds=len(second_seeds),
        parts={
            part: _compare_part(
                SystemPart([table.take(rows) for table in first_seeds], chosen),
                SystemPart([table.take(rows) for table in second_seeds], chosen),
                config,
            )
            for part, rows in all_parts(first_seeds[0], parts).items()
        },
        bootstrap=config,
    )


def _compare_part(first: SystemPart, second: SystemPart, config: BootstrapConfig) -> PartComparison:
    bootstrap = UserBootstrap(config, first.users, first.rows)
    first_draws, second_draws = resample([first, second], bootstrap)
    return PartComparison(
        rows=first.rows,
        users=first.users,
        users_in_uauc=first.users_in_uauc,
        metrics={
            metric: difference(
                float(np.mean(values) - np.mean(second.values[metric])),
                first_draws[metric] - second_draws[metric],
                bootstrap,
            )
            if metric in first_draws
            else None
            for metric, values in first.values.items()
        },
    )


def difference(value: float, draws: FloatArray, bootstrap: UserBootstrap) -> Difference | None:
    """Make a test of a statistic and its draws ([draws], NaN where undefined); None without any."""
    draws = np.where(np.abs(draws) < _ROUNDING, 0.0, draws)
    interval = bootstrap.interval(draws)
    if interval is None:
        return None
    low, high = interval
    # Draws without the statistic are NaN, which is on neither side of zero.
    one_side = min(np.count_nonzero(draws <= 0), np.count_nonzero(draws >= 0))
    defined = int(np.count_nonzero(~np.isnan(draws)))
    p_value = min(1.0, 2 * (1 + one_side) / (1 + defined))
    value = 0.0 if abs(value) < _ROUNDING else value
    return Difference(value=value, low=low, high=high, p_value=p_value, draws=defined)
