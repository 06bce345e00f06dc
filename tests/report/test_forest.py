from corarec.evaluate import ResultTable
from corarec.evaluate.layout import estimate_text, interval_text, signed
from corarec.report.figures import Palette
from corarec.report.forest import difference_forest, metric_forest


def test_every_system_and_reference_has_a_row(results: ResultTable) -> None:
    forest = metric_forest("auc", results.systems, results.references, Palette())
    assert forest is not None
    assert [(row.label, row.detail, row.series) for row in forest.rows] == [
        ("CoRA-MF", "mean of 2 seeds", "s0"),
        ("Text <only> & more", "", "s1"),
        ("Item rate", "reference", "ref"),
    ]
    whole = results.systems[0].whole
    assert forest.rows[0].value == estimate_text(whole.auc)
    assert forest.rows[0].interval == interval_text(whole.auc)
    assert "CoRA-MF is furthest to the right" in forest.caption


def test_differences_are_grouped_by_pair_and_coloured_by_verdict(results: ResultTable) -> None:
    forest = difference_forest("auc", results.comparisons)
    assert forest is not None
    assert [row.label for row in forest.rows] == ["all", "warm", "cold"]
    assert {row.group for row in forest.rows} == {"CoRA-MF \N{MINUS SIGN} Text <only> & more"}
    whole = results.comparisons[0].parts["all"].auc
    assert whole is not None
    assert whole.low > 0
    assert forest.rows[0].series == "better"
    assert forest.rows[0].value == signed(whole.value)


def test_intervals_over_zero_are_grey_and_below_are_worse(results: ResultTable) -> None:
    comparison = results.comparisons[0]
    whole = comparison.parts["all"]
    assert whole.auc is not None
    unsure = whole.auc.model_copy(update={"low": -0.1, "high": 0.1})
    below = whole.auc.model_copy(update={"value": -0.2, "low": -0.3, "high": -0.1})
    parts = {
        "unsure": whole.model_copy(update={"auc": unsure}),
        "below": whole.model_copy(update={"auc": below}),
        "none": whole.model_copy(update={"auc": None}),
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
