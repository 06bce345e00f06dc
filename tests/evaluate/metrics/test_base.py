import numpy as np
import pytest

from corarec.evaluate.metrics import METRICS
from corarec.evaluate.metrics.base import MetricRows, ratio


@pytest.mark.parametrize("key", METRICS)
def test_everybody_drawn_once_gives_the_value(key: str) -> None:
    generator = np.random.default_rng(1)
    rows = MetricRows(
        np.arange(200) % 20, generator.integers(0, 2, 200), np.round(generator.normal(size=200), 1)
    )
    measured = METRICS[key]().of(rows)
    assert measured.drawn(np.ones((20, 3))) == pytest.approx([measured.value] * 3, abs=1e-12)


@pytest.mark.parametrize("key", METRICS)
def test_no_rows_have_no_value(key: str) -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert METRICS[key]().of(MetricRows(nothing, nothing, np.zeros(0))).value is None


def test_nothing_divided_by_nothing_is_nan() -> None:
    np.testing.assert_array_equal(ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0])), [0.5, np.nan])
