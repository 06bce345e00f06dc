"""Rankings in, means over users with intervals out, and paired tests."""

from collections.abc import Mapping

import numpy as np

from corarec.errors import DataError
from corarec.evaluate.bootstrap import BootstrapConfig, UserBootstrap
from corarec.evaluate.compare import difference
from corarec.evaluate.evaluate import estimate
from corarec.evaluate.ranks import UserRankings
from corarec.evaluate.result import RankingComparison, RankingEvaluation
from corarec.types import FloatArray


def evaluate_ranking(
    rankings: UserRankings, name: str = "system", *, config: BootstrapConfig | None = None
) -> RankingEvaluation:
    """Average the metrics over users, with a bootstrap interval each."""
    config = config or BootstrapConfig()
    bootstrap, draws = _resampled(rankings.metrics, len(rankings.user_ids), config)
    measured = {
        metric: estimate([float(rankings.metrics[metric].mean())], bootstrap, drawn)
        for metric, drawn in draws.items()
    }
    return RankingEvaluation(
        name=name,
        users=len(rankings.user_ids),
        users_left_out=rankings.users_left_out,
        relevant_seen=rankings.relevant_seen,
        metrics={metric: result for metric, result in measured.items() if result is not None},
        coverage=rankings.coverage,
        bootstrap=config,
    )


def compare_rankings(
    first: UserRankings,
    second: UserRankings,
    names: tuple[str, str] = ("first", "second"),
    *,
    config: BootstrapConfig | None = None,
) -> RankingComparison:
    """Test first minus second by a paired bootstrap over users.

    Raises
    ------
    DataError
        The two did not rank for the same users in the same order.
    """
    if not np.array_equal(first.user_ids, second.user_ids):
        raise DataError(
            f"{names[0]} ranked for {len(first.user_ids)} users and {names[1]} for "
            f"{len(second.user_ids)}, not the same ones in the same order. Rank both for the same "
            "users, with the same relevant items."
        )
    config = config or BootstrapConfig()
    per_user = {
        metric: values - second.metrics[metric]
        for metric, values in first.metrics.items()
        if metric in second.metrics
    }
    bootstrap, draws = _resampled(per_user, len(first.user_ids), config)
    tested = {
        metric: difference(float(per_user[metric].mean()), drawn, bootstrap)
        for metric, drawn in draws.items()
    }
    return RankingComparison(
        first=names[0],
        second=names[1],
        users=len(first.user_ids),
        metrics={metric: result for metric, result in tested.items() if result is not None},
        bootstrap=config,
    )


def _resampled(
    per_user: Mapping[str, FloatArray], users: int, config: BootstrapConfig
) -> tuple[UserBootstrap, dict[str, FloatArray]]:
    """Return the means of every draw of users, by metric; none without users."""
    bootstrap = UserBootstrap(config, users, users)
    if not users:
        return bootstrap, {}
    values = np.stack(list(per_user.values()))
    means = np.concatenate([values @ counts / users for counts in bootstrap.counts()], axis=1)
    return bootstrap, dict(zip(per_user, means, strict=True))
