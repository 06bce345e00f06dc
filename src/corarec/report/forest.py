"""Rows of intervals on one common axis: the metrics of every system, the paired differences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corarec.evaluate.metrics import chance, larger_is_better, metric_title
from corarec.evaluate.result import Comparison, Difference, Estimate, Evaluation
from corarec.evaluate.significance import PValue, corrected_p_values, verdict
from corarec.extras import needs
from corarec.report.figures import Palette
from corarec.report.layout import (
    estimate_text,
    interval_text,
    p_value_text,
)
from corarec.report.svg import Axis, strip, strip_axis
from corarec.report.tables import difference_cells, metric_of

with needs("report"):
    from markupsafe import Markup

REFERENCE = "ref"
"""CSS class of the trivial references, grey in every figure."""

_FAR = 3.0
"""A difference that reaches so many times further than the median one is cut off at the axis."""


@dataclass(frozen=True)
class ForestRow:
    """One interval."""

    group: str
    """Heading above this row and its neighbours of the same group; empty for none."""
    label: str
    detail: str
    series: str
    drawing: Markup
    numbers: tuple[float, float, float]
    """Value, lower and upper end of the interval."""
    value: str
    interval: str
    p_value: str = ""
    """`p 0.012`, and `Holm 0.024` beside it where there are several tests."""


@dataclass(frozen=True)
class Forest:
    """Rows on a common axis."""

    name: str
    """Of its files, without an ending."""
    title: str
    rows: list[ForestRow]
    span: Axis
    guide: float | None
    """Where the dashed line stands."""
    caption: str

    @property
    def axis(self) -> Markup:
        """The marks of the axis, below the rows."""
        return strip_axis(self.span)


def metric_forest(
    metric: str, systems: Sequence[Evaluation], references: Sequence[Evaluation], palette: Palette
) -> Forest | None:
    """Lay out a metric over all rows; None where no system has it."""
    drawn = [
        (evaluation, estimate, series)
        for evaluation, series in [
            *((one, palette(one.name)) for one in systems),
            *((one, REFERENCE) for one in references),
        ]
        if (estimate := metric_of(evaluation, "all", metric)) is not None and drawable(estimate)
    ]
    if not drawn:
        return None
    ends = [end for _, estimate, _ in drawn for end in (estimate.low, estimate.high)]
    title, guess = metric_title(metric), chance(metric)
    axis = Axis.fit(ends if guess is None else [*ends, guess], title)
    rows = [
        ForestRow(
            group="",
            label=evaluation.name,
            detail="reference" if series == REFERENCE else _seeds(evaluation.seeds),
            series=series,
            drawing=strip(
                axis,
                estimate.value,
                estimate.low,
                estimate.high,
                series,
                guide=guess,
                label=_spoken(estimate_text(estimate), interval_text(estimate)),
            ),
            numbers=(estimate.value, estimate.low, estimate.high),
            value=estimate_text(estimate),
            interval=interval_text(estimate),
        )
        for evaluation, estimate, series in drawn
    ]
    larger = larger_is_better(metric)
    best = (max if larger else min)(drawn, key=lambda one: one[1].value)[0].name
    level = drawn[0][0].bootstrap.level
    dashed = "" if guess is None else f"; dashed: {guess}"
    return Forest(
        f"forest-{metric}",
        title,
        rows,
        axis,
        guess,
        f"Dot: {title} on all rows; line: its {level:.0%} interval over users{dashed}. Grey: the "
        f"trivial references. {best} is furthest to the {'right' if larger else 'left'}"
        f"{'' if larger else ', which is better'}. Overlap of two "
        "intervals says little about their difference, for they share the users: see the paired "
        "differences.",
    )


def difference_forest(metric: str, comparisons: Sequence[Comparison]) -> Forest | None:
    """Lay out the paired differences in a metric, by part; None where there are none."""
    corrected = corrected_p_values(comparisons)
    drawn = [
        _Tested(comparison, part, difference, corrected[part, metric][number])
        for number, comparison in enumerate(comparisons)
        for part in comparison.parts
        if (difference := comparison.parts[part].metrics.get(metric)) is not None
        and drawable(difference)
    ]
    if not drawn:
        return None
    title, larger = metric_title(metric), larger_is_better(metric)
    axis = Axis.fit([*_near([one.difference for one in drawn]), 0.0], f"difference in {title}")
    rows = [
        _difference_row(one, axis, several=len(comparisons) > 1, larger=larger) for one in drawn
    ]
    above = sum(one.verdict > 0 for one in drawn)
    below = sum(one.verdict < 0 for one in drawn)
    alpha = 1 - drawn[0].comparison.bootstrap.level
    rule = f"its interval does not touch zero and p is at most {alpha:.0%}"
    if len(comparisons) > 1:
        rule += f" after Holm's correction for the {len(comparisons)} tests of a part"
    outside = any(not axis.low <= one.difference.value <= axis.high for one in drawn)
    return Forest(
        f"differences-{metric}",
        f"Difference in {title}",
        rows,
        axis,
        0.0,
        f"First minus second on the same users. {'Right' if larger else 'Left'} of the dashed "
        f"zero the first is better. A row has a colour where {rule}; a grey row does not tell "
        f"the two apart. Clear of zero: {above} above, {below} below, of {len(drawn)}."
        f"{' An arrow: further out than the axis goes.' if outside else ''}",
    )


def drawable(interval: Estimate | Difference) -> bool:
    """Whether a value and its interval have a place on an axis."""
    return all(map(math.isfinite, (interval.value, interval.low, interval.high)))


@dataclass(frozen=True)
class _Tested:
    comparison: Comparison
    part: str
    difference: Difference
    corrected: PValue | None

    @property
    def verdict(self) -> int:
        return verdict(self.difference, self.corrected, self.comparison.bootstrap)


def _difference_row(one: _Tested, axis: Axis, *, several: bool, larger: bool) -> ForestRow:
    comparison, difference = one.comparison, one.difference
    value, interval, p_value = difference_cells(difference, comparison.bootstrap)
    series = {1: "better", -1: "worse", 0: REFERENCE}[one.verdict if larger else -one.verdict]
    holm = f", Holm {p_value_text(one.corrected)}" if several else ""
    return ForestRow(
        group=f"{comparison.first} \N{MINUS SIGN} {comparison.second}",
        label=one.part,
        detail=f"{comparison.parts[one.part].rows:,} rows",
        series=series,
        drawing=strip(
            axis,
            difference.value,
            difference.low,
            difference.high,
            series,
            guide=0.0,
            label=_spoken(value, interval),
        ),
        numbers=(difference.value, difference.low, difference.high),
        value=value,
        interval=interval,
        p_value=f"p {p_value}{holm}",
    )


def _near(differences: Sequence[Difference]) -> list[float]:
    """Return the ends of the intervals that the axis spans: all but those far from the others.

    One weak rival among several would otherwise press all the rest onto the zero.
    """
    ends = np.array([(one.low, one.high) for one in differences])
    reach = np.abs(ends).max(axis=1)
    near: list[float] = ends[reach <= _FAR * np.median(reach)].ravel().tolist()
    return near


def _spoken(value: str, interval: str) -> str:
    return f"{value}, interval {interval}"


def _seeds(seeds: int) -> str:
    return "" if seeds == 1 else f"mean of {seeds} seeds"
