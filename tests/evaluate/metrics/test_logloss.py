from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import log_loss

from corarec.evaluate.metrics.base import MetricRows
from corarec.evaluate.metrics.logloss import LogLoss
from corarec.types import ScoreTable

MakeTable = Callable[..., ScoreTable]


def rows(users: list[int], labels: list[int], probabilities: list[float]) -> MetricRows:
    return MetricRows(np.array(users), np.array(labels), logit(np.array(probabilities)))


def test_by_hand() -> None:
    # -log 0.8 and -log (1 - 0.25)
    value = LogLoss().of(rows([0, 1], [1, 0], [0.8, 0.25])).value
    assert value == pytest.approx((np.log(1 / 0.8) + np.log(1 / 0.75)) / 2)
    assert LogLoss().of(rows([0], [1], [0.5])).value == pytest.approx(np.log(2))


def test_no_rows_have_no_value_and_a_sure_mistake_is_finite() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert LogLoss().of(MetricRows(nothing, nothing, np.zeros(0))).value is None
    sure = MetricRows(np.array([0]), np.array([0]), np.array([1e4]))
    assert LogLoss().of(sure).value == 1e4


def test_a_draw_counts_rows_as_often_as_their_user() -> None:
    measured = LogLoss().of(rows([0, 0, 1], [1, 0, 1], [0.8, 0.4, 0.5]))
    of_first, of_second = np.log(1 / 0.8) + np.log(1 / 0.6), np.log(2)
    drawn = measured.drawn(np.array([[1.0, 2, 0], [1, 0, 2]]))
    assert drawn == pytest.approx([(of_first + of_second) / 3, of_first / 2, of_second])


def test_agreement_with_sklearn(random_table: MakeTable) -> None:
    table: ScoreTable = random_table()
    value = LogLoss().of(MetricRows(table.user_ids, table.labels, table.scores)).value
    assert value == pytest.approx(log_loss(table.labels, expit(table.scores)))
