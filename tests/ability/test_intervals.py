"""Intervals and paired tests, by hand where that can be done."""

import numpy as np
import pytest

from corarec.ability.intervals import estimate, paired
from corarec.ability.measured import ACCURACY, BITS, ROUGE, Values
from corarec.evaluate.bootstrap import BootstrapConfig

CONFIG = BootstrapConfig()


def values(*numbers: float, sizes: list[float] | None = None) -> Values:
    return Values(
        np.array(numbers, dtype=np.float64),
        tuple(range(1, len(numbers) + 1)),
        sizes=None if sizes is None else np.array(sizes),
    )


def test_a_share_has_the_interval_of_wilson() -> None:
    found = estimate(ACCURACY, values(1, 0, 1, 1, 0, 0, 0, 1, 1, 0), CONFIG)
    # centre 0.5, half width 1.96 / (1 + 1.96^2 / 10) * root(0.25 / 10 + 1.96^2 / 400)
    assert found.value == 0.5
    assert [found.low, found.high] == pytest.approx([0.2366, 0.7634], abs=1e-4)
    none = estimate(ACCURACY, values(0, 0, 0, 0), CONFIG)
    assert [none.low, none.high] == pytest.approx([0.0, 0.4899], abs=1e-4)


def test_a_ratio_weighs_texts_by_their_size() -> None:
    found = estimate(BITS, values(10, 60, sizes=[10, 20]), CONFIG)
    assert found.value == pytest.approx(70 / 30)
    assert (found.low, found.high) == (1.0, 3.0)
    same = estimate(ROUGE, values(*[0.25] * 7), CONFIG)
    assert (same.value, same.low, same.high) == (0.25, 0.25, 0.25)


def test_a_share_is_tested_by_mcnemar() -> None:
    before, after = values(1, 1, 1, 1, 1, 1, 0, 1), values(0, 0, 0, 0, 0, 0, 0, 1)
    found = paired(ACCURACY, after, before, CONFIG)
    assert found.value == -0.75
    assert found.p_value == pytest.approx(2 / 2**6)  # six changed, all for the worse
    assert paired(ACCURACY, before, before, CONFIG).p_value == 1.0


def test_values_are_tested_by_changed_signs() -> None:
    before = values(*np.linspace(1, 2, 12), sizes=[10.0] * 12)
    worse = values(*np.linspace(1.1, 2.1, 12), sizes=[10.0] * 12)
    found = paired(BITS, worse, before, CONFIG)
    assert found.value == pytest.approx(0.01)
    # all of one sign, so that 2 of 2^12 signs are as extreme
    assert found.p_value == pytest.approx(2 / 2**12, abs=6e-4)
    assert found.low > 0
    same = paired(BITS, before, before, CONFIG)
    assert (same.value, same.low, same.high, same.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_one_example_is_enough_for_a_number() -> None:
    found = paired(ROUGE, values(0.5), values(0.25), CONFIG)
    assert (found.value, found.low, found.high, found.p_value) == (0.25, 0.25, 0.25, 1.0)
