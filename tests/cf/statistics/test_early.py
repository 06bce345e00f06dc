import numpy as np
import pytest

from corarec.cf.counting.rows import Asked
from corarec.cf.statistics import StatisticsConfig
from corarec.cf.statistics.early import Early, Folded, fit_early
from corarec.errors import ConfigError
from corarec.types import Histories, Log

NONE = np.zeros(0, dtype=np.int64)
CONFIG = StatisticsConfig(families=("early",), early_factors=2)


def log_of(rows: list[tuple[int, int, int, float, int]]) -> Log:
    users, items, labels, stars, times = (np.array(column) for column in zip(*rows, strict=True))
    return Log(users, items, labels, times, stars)


def asked(user: int, item: int, until: int) -> Asked:
    users, items, moments = (np.array([value]) for value in (user, item, until))
    return Asked(users, items, moments, Histories.from_lists([[]]))


EARLIER = log_of(
    [(1, 1, 1, 5.0, 0), (1, 2, 0, 1.0, 1), (2, 1, 1, 4.0, 2), (2, 2, 0, 2.0, 3), (3, 1, 1, 5.0, 4)]
)


def test_whoever_kept_one_kind_of_rows_is_left_out() -> None:
    early = fit_early(EARLIER, 3, 2, CONFIG, seed=0)
    assert set(early.rows[:, 0].tolist()) == {1, 2}
    everyone = fit_early(EARLIER, 3, 2, CONFIG.model_copy(update={"early_one_sided": 1.0}), seed=0)
    assert set(everyone.rows[:, 0].tolist()) == {1, 2, 3}


def test_biases_by_hand_and_users_folded_in_with_their_later_rows() -> None:
    early = fit_early(EARLIER, 3, 2, CONFIG, seed=0)
    assert early.means.tolist() == [3.0, 1.5, 4.5]
    assert early.item_bias.tolist() == pytest.approx([0, 3 / 7, -3 / 7])
    later = log_of([(1, 2, 1, float("nan"), 10)])
    folded = Folded(early, later, 3, 2)
    left = [5 - 3 - 3 / 7, 1 - 3 + 3 / 7]
    bias, count, agreement = folded.columns(asked(1, 1, 10))
    assert (bias[0], count[0]) == (pytest.approx(sum(left) / 7), 2)
    # The later row has no stars: it counts as the mean of the liked earlier ones, 4.5.
    bias, count, _ = folded.columns(asked(1, 1, 11))
    assert (bias[0], count[0]) == (pytest.approx((sum(left) + 1.5 + 3 / 7) / 8), 3)
    x = early.item_factors[[1, 2]]
    weights = np.linalg.solve(x.T @ x + 12 * np.eye(2), x.T @ (np.array(left) - sum(left) / 7))
    assert agreement[0] == pytest.approx(early.item_factors[1] @ weights)
    assert [column[0] for column in folded.columns(asked(3, 1, 10))] == [0, 0, 0]


def test_it_survives_saving_and_notices_another_number_of_items() -> None:
    early = fit_early(EARLIER, 3, 2, CONFIG, seed=0)
    again = Early.of(early.tensors(), 2)
    assert np.array_equal(again.item_factors, early.item_factors)
    with pytest.raises(ValueError, match="not of 5 items"):
        Early.of(early.tensors(), 5)


def test_without_earlier_rows_there_is_an_error_that_says_how_to_get_them() -> None:
    with pytest.raises(ConfigError, match="keeps none. Prepare it with --keep-earlier"):
        fit_early(None, 3, 2, CONFIG, seed=0)


def test_only_one_sided_users_leave_nothing_and_no_error() -> None:
    early = fit_early(log_of([(1, 1, 1, 5.0, 0)]), 2, 2, CONFIG, seed=0)
    assert len(early.rows) == 0
    assert not early.item_bias.any()
