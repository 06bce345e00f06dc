import numpy as np
import pytest

from corarec.errors import DataError
from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.rankings import compare_rankings, evaluate_ranking
from corarec.evaluate.ranks import UserRankings

CONFIG = BootstrapConfig(draws=400)


def rankings(values: list[float], users: list[int] | None = None) -> UserRankings:
    ids = np.arange(len(values)) if users is None else np.array(users)
    return UserRankings(
        ids,
        {"mrr": np.array(values)},
        users_left_out=2,
        relevant_seen=3,
        first=np.zeros((len(ids), 1), np.int64),
        coverage={},
    )


def test_a_metric_is_the_mean_over_users_with_an_interval_of_its_standard_error() -> None:
    values = np.random.default_rng(0).random(200)
    result = evaluate_ranking(rankings(values.tolist()), "A", config=CONFIG)
    metric = result.metrics["mrr"]
    assert metric.value == pytest.approx(values.mean())
    error = values.std(ddof=1) / np.sqrt(200)
    assert metric.low == pytest.approx(values.mean() - 1.96 * error, abs=0.3 * error)
    assert metric.high == pytest.approx(values.mean() + 1.96 * error, abs=0.3 * error)
    assert (result.name, result.users) == ("A", 200)
    assert (result.users_left_out, result.relevant_seen) == (2, 3)


def test_a_comparison_is_paired() -> None:
    base = np.random.default_rng(0).random(100)
    first, second = rankings((base + 0.01).tolist()), rankings(base.tolist())
    found = compare_rankings(first, second, ("A", "B"), config=CONFIG).metrics["mrr"]
    # Every user gains the same, so the interval has no width, whatever the users vary.
    assert (found.value, found.low, found.high) == pytest.approx((0.01, 0.01, 0.01))
    assert found.p_value == pytest.approx(2 / 401)
    back = compare_rankings(second, first, ("B", "A"), config=CONFIG).metrics["mrr"]
    assert back.value == pytest.approx(-0.01)


def test_other_users_are_refused() -> None:
    with pytest.raises(DataError, match="A ranked for 2 users and B for 2, not the same ones"):
        compare_rankings(rankings([0, 1], [1, 2]), rankings([0, 1], [2, 1]), ("A", "B"))
