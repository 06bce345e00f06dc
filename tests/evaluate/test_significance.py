import pytest

from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.result import Difference
from corarec.evaluate.significance import PValue, holm, least_p_value, p_value, verdict
from corarec.report.layout import p_value_text

THOUSAND = BootstrapConfig(draws=1000)
AT_MOST = "\N{LESS-THAN OR EQUAL TO}"


def difference(low: float = 0.1, high: float = 0.2, p: float = 0.01, **more: int) -> Difference:
    return Difference(value=(low + high) / 2, low=low, high=high, p_value=p, **more)


def test_holm_by_hand() -> None:
    tests = [PValue(0.04), None, PValue(0.01), PValue(0.03), PValue(0.5)]
    corrected = [None if one is None else one.value for one in holm(tests)]
    # Sorted: 0.01 x 4, 0.03 x 3, 0.04 x 2 = 0.08 but no smaller than 0.09, 0.5 x 1.
    assert corrected[1] is None
    values = [value for value in corrected if value is not None]
    assert values == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert [one.value for one in holm([PValue(0.8), PValue(0.7)]) if one] == [1.0, 1.0]
    assert holm([PValue(0.02, at_most=True)]) == [PValue(0.02, at_most=True)]
    assert holm([]) == []


def test_what_comes_of_a_bound_is_a_bound() -> None:
    floor = least_p_value(1000)
    tests = [PValue(floor, at_most=True), PValue(floor, at_most=True), PValue(0.6)]
    first, second, third = holm(tests)
    assert first == second == PValue(3 * floor, at_most=True)
    assert third == PValue(0.6)
    # 0.003 x 1 would be below 2 x 0.002, which is only a bound.
    assert holm([PValue(floor, at_most=True), PValue(0.003)])[1] == PValue(2 * floor, at_most=True)


def test_a_p_value_at_the_floor_of_its_draws_is_a_bound() -> None:
    assert p_value(difference(p=2 / 1001), THOUSAND) == PValue(2 / 1001, at_most=True)
    assert p_value(difference(p=4 / 1001), THOUSAND) == PValue(4 / 1001)
    # Of 1,000 draws 99 had a value: their floor is higher.
    assert p_value(difference(p=2 / 100, draws=99), THOUSAND) == PValue(0.02, at_most=True)
    assert p_value(None, THOUSAND) is None


def test_p_values_as_text() -> None:
    assert p_value_text(PValue(0.0121)) == "0.012"
    assert p_value_text(PValue(2 / 1001, at_most=True)) == f"{AT_MOST} 0.002"
    assert p_value_text(PValue(0.0481, at_most=True)) == f"{AT_MOST} 0.049"
    assert p_value_text(PValue(0.00019, at_most=True)) == f"{AT_MOST} 0.0002"
    assert p_value_text(PValue(0.002, at_most=True)) == f"{AT_MOST} 0.002"
    assert p_value_text(PValue(1.0)) == "1.000"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0001, 0.2, 1), (0.0, 0.2, 0), (-0.2, 0.0, 0), (-0.2, -1e-9, -1), (-0.1, 0.1, 0), (0, 0, 0)],
)
def test_an_interval_that_touches_zero_is_not_clear_of_it(
    low: float, high: float, expected: int
) -> None:
    assert verdict(difference(low, high), PValue(0.01), THOUSAND) == expected


def test_a_verdict_needs_the_corrected_p_value_too() -> None:
    assert verdict(difference(), PValue(0.05), THOUSAND) == 1
    assert verdict(difference(), PValue(0.051), THOUSAND) == 0
    assert verdict(difference(), PValue(0.051), BootstrapConfig(level=0.9)) == 1
    assert verdict(difference(), None, THOUSAND) == 0
