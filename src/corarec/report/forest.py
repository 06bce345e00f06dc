"""Rows of intervals on one common axis: the metrics of every system, the paired differences."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from corarec.evaluate.layout import (
    estimate_text,
    interval_text,
    p_value_text,
    signed,
)
from corarec.evaluate.result import Comparison, Difference, Estimate, Evaluation
from corarec.report.figures import Palette
from corarec.report.svg import Axis, strip, strip_axis

REFERENCE = "ref"
"""CSS class of the trivial references, grey in every figure."""


@dataclass(frozen=True)
class ForestRow:
    """One interval."""

    group: str
    """Heading above this row and its neighbours of the same group; empty for none."""
    label: str
    detail: str
    series: str
    drawing: Markup
    value: str
    interval: str
    p_value: str = ""


@dataclass(frozen=True)
class Forest:
    """Rows on a common axis."""

    title: str
    rows: list[ForestRow]
    axis: Markup
    caption: str


def metric_forest(
    metric: str, systems: Sequence[Evaluation], references: Sequence[Evaluation], palette: Palette
) -> Forest | None:
    """Lay out `auc` or `uauc` over all rows; None where no system has it."""
    drawn = [
        (evaluation, estimate, series)
        for evaluation, series in [
            *((one, palette(one.name)) for one in systems),
            *((one, REFERENCE) for one in references),
        ]
        if (estimate := _estimate(evaluation, metric)) is not None
    ]
    if not drawn:
        return None
    ends = [end for _, estimate, _ in drawn for end in (estimate.low, estimate.high)]
    axis = Axis.fit([*ends, 0.5], metric.upper())
    rows = [
        ForestRow(
            group="",
            label=evaluation.name,
            detail="reference" if series == REFERENCE else _seeds(evaluation.seeds),
            series=series,
            drawing=strip(axis, estimate.value, estimate.low, estimate.high, series, guide=0.5),
            value=estimate_text(estimate),
            interval=interval_text(estimate),
        )
        for evaluation, estimate, series in drawn
    ]
    best = max(drawn, key=lambda one: one[1].value)[0].name
    level = drawn[0][0].bootstrap.level
    return Forest(
        metric.upper(),
        rows,
        strip_axis(axis),
        f"Dot: {metric.upper()} on all rows; line: its {level:.0%} interval over users; dashed: "
        f"0.5. Grey: the trivial references. {best} is furthest to the right. Overlap of two "
        "intervals says little about their difference, for they share the users: see the paired "
        "differences.",
    )


def difference_forest(metric: str, comparisons: Sequence[Comparison]) -> Forest | None:
    """Lay out the paired differences in `auc` or `uauc`, by part; None where there are none."""
    drawn = [
        (comparison, part, result.rows, difference)
        for comparison in comparisons
        for part, result in comparison.parts.items()
        if (difference := _difference(comparison, part, metric)) is not None
    ]
    if not drawn:
        return None
    ends = [end for *_, one in drawn for end in (one.low, one.high)]
    axis = Axis.fit([*ends, 0.0], f"difference in {metric.upper()}")
    rows = [
        ForestRow(
            group=f"{comparison.first} \N{MINUS SIGN} {comparison.second}",
            label=part,
            detail=f"{num_rows:,} rows",
            series=_verdict(one),
            drawing=strip(axis, one.value, one.low, one.high, _verdict(one), guide=0.0),
            value=signed(one.value),
            interval=interval_text(one),
            p_value=p_value_text(one),
        )
        for comparison, part, num_rows, one in drawn
    ]
    above = sum(one.low > 0 for *_, one in drawn)
    below = sum(one.high < 0 for *_, one in drawn)
    return Forest(
        f"Difference in {metric.upper()}",
        rows,
        strip_axis(axis),
        f"First minus second on the same users. Right of the dashed zero the first is better; a "
        f"grey row does not tell the two apart. Clear of zero: {above} above, {below} below, of "
        f"{len(drawn)}.",
    )


def _estimate(evaluation: Evaluation, metric: str) -> Estimate | None:
    return evaluation.whole.auc if metric == "auc" else evaluation.whole.uauc


def _difference(comparison: Comparison, part: str, metric: str) -> Difference | None:
    result = comparison.parts[part]
    return result.auc if metric == "auc" else result.uauc


def _verdict(difference: Difference) -> str:
    if difference.low > 0:
        return "better"
    return "worse" if difference.high < 0 else REFERENCE


def _seeds(seeds: int) -> str:
    return "" if seeds == 1 else f"mean of {seeds} seeds"
