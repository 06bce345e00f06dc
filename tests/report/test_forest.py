from corarec.evaluate import Comparison, ResultTable
from corarec.report.figures import Palette
from corarec.report.forest import difference_forest, metric_forest
from corarec.report.layout import estimate_text, interval_text, signed


def test_every_system_and_reference_has_a_row(results: ResultTable) -> None:
    forest = metric_forest("auc", results.systems, results.references, Palette())
    assert forest is not None
    assert [(row.label, row.detail, row.series) for row in forest.rows] == [
        ("CoRA-MF", "mean of 2 seeds", "s0"),
        ("Text <only> & more", "", "s1"),
        ("Item rate", "reference", "ref"),
    ]
    whole = results.systems[0].whole
    assert forest.rows[0].value == estimate_text(whole.metrics["auc"])
    assert forest.rows[0].interval == interval_text(whole.metrics["auc"])
    assert "CoRA-MF is furthest to the right" in forest.caption


def test_differences_are_grouped_by_pair_and_coloured_by_verdict(results: ResultTable) -> None:
    forest = difference_forest("auc", results.comparisons)
    assert forest is not None
    assert [row.label for row in forest.rows] == ["all", "warm", "cold"]
    assert {row.group for row in forest.rows} == {"CoRA-MF \N{MINUS SIGN} Text <only> & more"}
    whole = results.comparisons[0].parts["all"].metrics["auc"]
    assert whole is not None
    assert whole.low > 0
    assert forest.rows[0].series == "better"
    assert forest.rows[0].value == signed(whole.value)


def test_intervals_over_zero_are_grey_and_below_are_worse(results: ResultTable) -> None:
    comparison = results.comparisons[0]
    whole = comparison.parts["all"]
    assert whole.metrics["auc"] is not None
    unsure = whole.metrics["auc"].model_copy(update={"low": -0.1, "high": 0.1})
    below = whole.metrics["auc"].model_copy(update={"value": -0.2, "low": -0.3, "high": -0.1})
    parts = {
        "unsure": whole.model_copy(update={"metrics": {"auc": unsure}}),
        "below": whole.model_copy(update={"metrics": {"auc": below}}),
        "none": whole.model_copy(update={"metrics": {"auc": None}}),
    }
    forest = difference_forest("auc", [comparison.model_copy(update={"parts": parts})])
    assert forest is not None
    assert [(row.label, row.series) for row in forest.rows] == [
        ("unsure", "ref"),
        ("below", "worse"),
    ]
    assert "Clear of zero: 0 above, 1 below, of 2." in forest.caption


def test_nothing_to_draw() -> None:
    assert metric_forest("auc", [], [], Palette()) is None
    assert difference_forest("uauc", []) is None


def with_auc(comparison: Comparison, name: str, low: float, high: float) -> Comparison:
    whole = comparison.parts["all"]
    assert whole.metrics["auc"] is not None
    auc = whole.metrics["auc"].model_copy(
        update={"value": (low + high) / 2, "low": low, "high": high}
    )
    parts = {"all": whole.model_copy(update={"metrics": {"auc": auc}})}
    return comparison.model_copy(update={"second": name, "parts": parts})


def test_a_far_rival_does_not_stretch_the_axis(results: ResultTable) -> None:
    one = results.comparisons[0]
    near = [with_auc(one, "a", 0.01, 0.03), with_auc(one, "b", -0.02, 0.01)]
    without = difference_forest("auc", near)
    forest = difference_forest("auc", [*near, with_auc(one, "weak", 0.3, 0.4)])
    assert forest is not None
    assert without is not None
    assert forest.axis == without.axis
    assert "arrow" not in without.caption
    assert "An arrow: further out" in forest.caption
    assert "\N{RIGHTWARDS ARROW}" in forest.rows[2].drawing
    assert forest.rows[2].value == "+0.350"


def test_several_tests_are_corrected(results: ResultTable) -> None:
    one = results.comparisons[0]
    # 40 draws give no p below 0.049: enough for one test, too few for two.
    alone = difference_forest("auc", [with_auc(one, "a", 0.01, 0.03)])
    both = difference_forest(
        "auc", [with_auc(one, "a", 0.01, 0.03), with_auc(one, "b", 0.02, 0.05)]
    )
    assert alone is not None
    assert both is not None
    assert [row.series for row in alone.rows] == ["better"]
    assert alone.rows[0].p_value == "p \N{LESS-THAN OR EQUAL TO} 0.049"
    assert [row.series for row in both.rows] == ["ref", "ref"]
    assert both.rows[0].p_value.endswith(", Holm \N{LESS-THAN OR EQUAL TO} 0.098")
    assert "Clear of zero: 0 above, 0 below, of 2." in both.caption
    assert "Holm's correction for the 2 tests" in both.caption


def test_an_interval_that_ends_at_zero_is_not_clear_of_it(results: ResultTable) -> None:
    one = results.comparisons[0]
    forest = difference_forest("auc", [with_auc(one, "a", 0.0, 0.03)])
    assert forest is not None
    assert forest.rows[0].series == "ref"
    close = difference_forest("auc", [with_auc(one, "a", 0.0002, 0.03)])
    assert close is not None
    assert (close.rows[0].series, close.rows[0].interval) == ("better", "[+0.0002, +0.030]")
