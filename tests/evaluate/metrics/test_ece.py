import numpy as np
import pytest
from scipy.special import logit

from corarec.errors import ConfigError
from corarec.evaluate.metrics.base import MetricRows
from corarec.evaluate.metrics.ece import Ece

# Two bins. Below a half: 0.2 and 0.4, of which none is a 1. Above: 0.7 and 0.9, of which both are.
ROWS = MetricRows(
    np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1]), logit(np.array([0.2, 0.7, 0.4, 0.9]))
)


def test_by_hand() -> None:
    # |0.3 - 0| and |0.8 - 1|, each of half the rows.
    assert Ece(2).of(ROWS).value == pytest.approx(0.25)
    # In one bin: |0.55 - 0.5|.
    assert Ece.parse("1").of(ROWS).value == pytest.approx(0.05)


def test_a_calibrated_score_has_none() -> None:
    labels = np.tile([1, 0, 0, 0], 10)
    rows = MetricRows(np.arange(40), labels, np.full(40, logit(0.25)))
    assert Ece().of(rows).value == pytest.approx(0, abs=1e-12)


def test_a_sure_score_is_in_the_last_bin_and_no_rows_have_no_value() -> None:
    sure = MetricRows(np.array([0]), np.array([0]), np.array([1e3]))
    assert Ece().of(sure).value == 1.0
    nothing = np.zeros(0, dtype=np.int64)
    assert Ece().of(MetricRows(nothing, nothing, np.zeros(0))).value is None


def test_a_draw_equals_copies_of_rows() -> None:
    generator = np.random.default_rng(0)
    users, labels = generator.integers(0, 20, 300), generator.integers(0, 2, 300)
    scores = generator.normal(size=300)
    _, codes = np.unique(users, return_inverse=True)
    counts = generator.integers(0, 3, (codes.max() + 1, 5)).astype(float)
    drawn = Ece(7).of(MetricRows(codes, labels, scores)).drawn(counts)
    for draw in range(5):
        copies = np.repeat(np.arange(300), counts[codes, draw].astype(int))
        there = MetricRows(codes[copies], labels[copies], scores[copies])
        assert drawn[draw] == pytest.approx(Ece(7).of(there).value)


@pytest.mark.parametrize("number", ["", "0", "-3", "2.5", "1001"])
def test_what_is_no_number_of_bins_is_named(number: str) -> None:
    with pytest.raises(ConfigError, match=f"ece@{number} has no number of bins"):
        Ece.parse(number)
