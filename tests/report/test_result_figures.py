import re

import pytest

from corarec.evaluate import ResultTable
from corarec.evaluate.result import Evaluation
from corarec.report.data import CostPoint
from corarec.report.figures import Palette
from corarec.report.forest import difference_forest, metric_forest
from corarec.report.result_figures import cost_figure, forest_figure, part_figures


def test_every_part_of_every_system_has_its_bar(results: ResultTable) -> None:
    (figure,) = part_figures("auc", results.systems)
    assert [name for _, name in figure.legend] == ["warm (200 rows)", "cold (100 rows)"]
    warm = results.systems[0].parts["warm"].metrics["auc"]
    assert warm is not None
    assert figure.table.rows()[0] == ("CoRA-MF", "warm", warm.value, warm.low, warm.high)
    assert len(figure.table) == 4
    assert figure.chart is not None
    assert figure.chart.inline().count("<title>") == 4
    assert "begin at 0.5, which is chance" in figure.caption


def changed(system: Evaluation, value: float | None) -> Evaluation:
    """Return a system whose AUC on cold rows is another."""
    cold = system.parts["cold"]
    auc = cold.metrics["auc"]
    assert auc is not None
    new = None if value is None else auc.model_copy(update={"value": value})
    parts = system.parts | {"cold": cold.model_copy(update={"metrics": {"auc": new}})}
    return system.model_copy(update={"parts": parts})


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_part_without_a_value_is_said_and_never_drawn(
    results: ResultTable, value: float | None
) -> None:
    system = changed(results.systems[0], value)
    (figure,) = part_figures("auc", [system])
    assert figure.chart is not None
    svg = figure.chart.inline()
    assert "no value here" in svg
    assert "nan" not in svg.lower()
    assert figure.table.rows()[1] == ("CoRA-MF", "cold", None, None, None)
    only = system.model_copy(update={"parts": {"cold": system.parts["cold"]}})
    (figure,) = part_figures("auc", [only])
    assert figure.chart is None
    assert "AUC has no value on any part" in figure.caption


def test_without_parts_there_are_no_bars(results: ResultTable) -> None:
    whole = {"all": results.systems[0].parts["all"]}
    assert part_figures("auc", [results.systems[0].model_copy(update={"parts": whole})]) == []


def test_time_against_quality() -> None:
    points = [
        CostPoint(name=name, minutes=minutes, value=0.7, low=0.6, high=0.8, seeds=1)
        for name, minutes in (("A <b>", 2.0), ("B", 90.0))
    ]
    figure = cost_figure("auc", points, Palette())
    assert figure.legend == [("s0", "1  A <b> (2 min)"), ("s1", "2  B (90 min)")]
    assert figure.chart is not None
    svg = figure.chart.inline()
    assert "<title>B: 0.700 in 90.0 minutes</title>" in svg
    assert "mathdefault" not in svg
    assert figure.table.rows()[0] == ("A <b>", 2.0, 0.7, 0.6, 0.8)
    assert cost_figure("auc", points[:1], Palette()).chart is not None
    # From a moment to an hour: a tick for each decade, none on another.
    spread = [
        point.model_copy(update={"minutes": minutes})
        for point, minutes in zip(points, (0.005, 57.0), strict=True)
    ]
    chart = cost_figure("auc", spread, Palette()).chart
    assert chart is not None
    ticks = [text for text in re.findall(r">([\d.]+)</text>", chart.inline()) if float(text) != 0.7]
    assert {"0.01", "1", "10"} <= set(ticks)
    assert "0.05" not in ticks
    empty = cost_figure("auc", [], Palette())
    assert empty.chart is None
    assert "No run recorded" in empty.caption


def test_forests_are_charts_of_the_same_numbers(results: ResultTable) -> None:
    metrics = metric_forest("auc", results.systems, results.references, Palette())
    differences = difference_forest("auc", results.comparisons)
    assert metrics is not None
    assert differences is not None
    figure = forest_figure(metrics)
    auc = results.systems[1].whole.metrics["auc"]
    assert auc is not None
    assert figure.table.rows()[1] == ("", "Text <only> & more", auc.value, auc.low, auc.high)
    assert not figure.in_page
    assert figure.chart is not None
    assert "Text &lt;only&gt; &amp; more" in figure.chart.inline()
    assert forest_figure(differences).table["group"].unique().len() == 1
