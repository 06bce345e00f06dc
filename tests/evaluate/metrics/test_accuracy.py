import numpy as np
import pytest
from scipy.special import logit

from corarec.errors import ConfigError
from corarec.evaluate.metrics.accuracy import Accuracy
from corarec.evaluate.metrics.base import MetricRows

ROWS = MetricRows(
    np.array([0, 0, 1, 1]), np.array([1, 0, 1, 0]), logit(np.array([0.6, 0.55, 0.8, 0.1]))
)


def test_by_hand() -> None:
    assert Accuracy().of(ROWS).value == 0.75  # 0.55 is told to be a 1, and is a 0
    assert Accuracy.parse("0.7").of(ROWS).value == 0.75  # 0.6 is told to be a 0, and is a 1
    assert Accuracy(0.58).of(ROWS).value == 1.0


def test_a_probability_at_the_threshold_reaches_it() -> None:
    at = MetricRows(np.array([0]), np.array([1]), np.array([0.0]))
    assert Accuracy(0.5).of(at).value == 1.0


def test_a_draw_counts_rows_as_often_as_their_user() -> None:
    drawn = Accuracy().of(ROWS).drawn(np.array([[1.0, 2, 0], [1, 0, 2]]))
    assert drawn == pytest.approx([0.75, 0.5, 1.0])


@pytest.mark.parametrize("number", ["", "0", "1", "-0.5", "nan", "half"])
def test_what_is_no_threshold_is_named(number: str) -> None:
    with pytest.raises(ConfigError, match=f"accuracy@{number} has no threshold"):
        Accuracy.parse(number)
