"""The figures of results: by part of the rows, against their cost, and forests as files."""

from collections.abc import Mapping, Sequence

import polars as pl

from corarec.evaluate.metrics import chance, larger_is_better, metric_title
from corarec.evaluate.result import Estimate, Evaluation
from corarec.extras import needs
from corarec.report.chart import (
    BOTTOM,
    COLOURS,
    RIGHT,
    TOP,
    WIDTH,
    Chart,
    axes,
    colour,
    few,
    guide,
    one_line,
    tip,
)
from corarec.report.data import CostPoint
from corarec.report.figures import COLOURS as SERIES
from corarec.report.figures import SHOWN, Figure, Palette, best_of
from corarec.report.forest import Forest, drawable
from corarec.report.layout import estimate_text
from corarec.report.tables import metric_of

with needs("report"):
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator


_SIDE = 16.0
"""Where nothing stands left of the axes."""
_BAR, _NAME = 14.0, 22.0
_ROW = 30.0
_LOG_FROM = 20.0
"""So many times the shortest training must the longest take for a logarithmic axis."""
_DECADES_FROM = 100
"""Beyond, a tick for 2 and 5 in each decade would stand on the next one."""


def part_figures(metric: str, systems: Sequence[Evaluation]) -> list[Figure]:
    """Draw a metric on each part of the rows but all, as bars; nothing where there is no part."""
    parts = [part for one in systems for part in one.parts if part != "all"]
    parts = list(dict.fromkeys(parts))
    if not parts:
        return []
    name, title = f"parts-{metric}", f"{metric_title(metric)} by part of the rows"
    values: dict[str, Mapping[str, Estimate | None]] = {
        one.name: {part: _drawn(metric_of(one, part, metric)) for part in parts} for one in systems
    }
    known = [each for of_system in values.values() for each in of_system.values() if each]
    if not known:
        why = (
            f"{metric_title(metric)} has no value on any part: each has too few rows, or one label."
        )
        return [Figure(name, title, None, why)]
    guess = chance(metric)
    base = guess if guess is not None else 0.0
    shown = list(values)[:SHOWN]
    group = _NAME + _BAR * len(parts)
    height = group * len(shown)
    series = {part: f"s{number % SERIES}" for number, part in enumerate(parts)}

    def draw(canvas: Canvas) -> None:
        on = axes(canvas, left=_SIDE, width=WIDTH - 2 * _SIDE, height=height, grid="x")
        ends = [end for each in known for end in (each.low, each.high)]
        low, high = min([*ends, base]), max([*ends, base])
        room = (high - low or 1.0) * 0.03
        on.set_xlim(low - room, high + room * 7)
        on.set_ylim(height, 0)
        on.set_yticks([])
        for number, system in enumerate(shown):
            top = number * group
            on.text(0.0, top + 12, one_line(system), transform=on.get_yaxis_transform(), size=10.5)
            for place, (part, found) in enumerate(values[system].items()):
                y = top + _NAME + _BAR * (place + 0.5)
                if found is None:
                    on.text(base, y, " no value here", va="center", size=10, color=COLOURS["soft"])
                    continue
                paint = colour(series[part])
                width = found.value - base
                (bar,) = on.barh(y, width, _BAR - 3, left=base, color=paint, alpha=0.8)
                tip(bar, f"{system}, {part}: {estimate_text(found)}")
                on.hlines(y, found.low, found.high, color=COLOURS["ink"], linewidth=1)
                right, end = f"{found.value:.3f}", max(found.high, base)
                on.annotate(
                    right,
                    (end, y),
                    (4, 0),
                    textcoords="offset points",
                    va="center",
                    size=10,
                    color=COLOURS["soft"],
                )
            ends_at = top + _NAME + _BAR * len(parts)
            on.vlines(base, top + _NAME - 1, ends_at, color=COLOURS["ref"], linewidth=1)
        on.set_xlabel(metric_title(metric))
        few(on.xaxis)

    counts = {part: _rows(part, systems) for part in parts}
    from_where = f"Bars begin at {base:g}" + (", which is chance" if guess is not None else "")
    better = "" if larger_is_better(metric) else "; shorter is better"
    return [
        Figure(
            name,
            title,
            Chart(draw, f"{title}, as bars", height + TOP + BOTTOM),
            f"{from_where}{better}; lines are intervals over users. Parts hold different rows and "
            "users, so compare systems within a part, not the parts of a system."
            f"{best_of(len(values))}",
            [(series[part], f"{part} ({counts[part]:,} rows)") for part in parts],
            pl.DataFrame(
                [
                    (system, part, each and each.value, each and each.low, each and each.high)
                    for system, of_system in values.items()
                    for part, each in of_system.items()
                ],
                {"system": pl.String, "part": pl.String}
                | dict.fromkeys(("value", "low", "high"), pl.Float64),
                orient="row",
            ),
        )
    ]


def _drawn(estimate: Estimate | None) -> Estimate | None:
    return estimate if estimate is not None and drawable(estimate) else None


def _rows(part: str, systems: Sequence[Evaluation]) -> int:
    return next(one.parts[part].rows for one in systems if part in one.parts)


def cost_figure(metric: str, points: Sequence[CostPoint], palette: Palette) -> Figure:
    """Draw a metric against the minutes of training, the dots numbered as in the legend."""
    name, title = "cost", f"Training time against {metric_title(metric)}"
    if not points:
        why = "No run recorded how long its training took."
        return Figure(name, title, None, why)

    def draw(canvas: Canvas) -> None:
        on = axes(canvas)
        minutes = [point.minutes for point in points]
        if max(minutes) > _LOG_FROM * min(minutes):
            on.set_xscale("log")
            wide = max(minutes) > _DECADES_FROM * min(minutes)
            on.xaxis.set_major_locator(
                LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=6)
            )
            on.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
            on.xaxis.set_minor_locator(NullLocator())
        for number, point in enumerate(points, 1):
            paint = colour(palette(point.name))
            on.vlines(point.minutes, point.low, point.high, color=paint, linewidth=1.2, alpha=0.55)
            (dot,) = on.plot(point.minutes, point.value, "o", markersize=13, color=paint)
            tip(dot, f"{point.name}: {point.value:.3f} in {point.minutes:,.1f} minutes")
            on.text(
                point.minutes,
                point.value,
                str(number),
                color=COLOURS["paper"],
                size=8.5,
                weight="bold",
                ha="center",
                va="center_baseline",
            )
        on.margins(x=0.1, y=0.1)
        on.set_xlabel("minutes of training, wall clock")
        on.set_ylabel(metric_title(metric))
        few(on.yaxis)
        if on.get_xscale() != "log":
            few(on.xaxis)

    side = "upper" if larger_is_better(metric) else "lower"
    fields = ("minutes", "value", "low", "high")
    return Figure(
        name,
        title,
        Chart(draw, title),
        f"Further to the {side} left is better for less. Minutes are means over the seeds whose "
        "time was recorded, on whatever machine and with whatever ran beside them; the fit of a "
        "shared CF model is not in them.",
        [
            (palette(point.name), f"{number}  {point.name} ({point.minutes:,.0f} min)")
            for number, point in enumerate(points, 1)
        ],
        pl.DataFrame(
            [(point.name, *(getattr(point, field) for field in fields)) for point in points],
            {"system": pl.String} | dict.fromkeys(fields, pl.Float64),
            orient="row",
        ),
    )


def forest_figure(forest: Forest) -> Figure:
    """Return a forest as a chart for files: the page has it as rows of text and strips."""
    heading = [
        row.group and (not n or row.group != forest.rows[n - 1].group)
        for n, row in enumerate(forest.rows)
    ]
    height = _ROW * len(forest.rows) + _NAME * sum(map(bool, heading))
    span = forest.span

    def draw(canvas: Canvas) -> None:
        on = axes(canvas, left=_SIDE, width=WIDTH - _SIDE - RIGHT, height=height, grid="x")
        on.set_xlim(span.low, span.high)
        on.set_ylim(height, 0)
        on.set_yticks([])
        on.set_xticks(span.ticks, [span.text(tick) for tick in span.ticks])
        if forest.guide is not None:
            guide(on, [forest.guide] * 2, [0, height])
        y = 0.0
        across = on.get_yaxis_transform()
        for row, head in zip(forest.rows, heading, strict=True):
            if head:
                text = one_line(row.group)
                on.text(0, y + 14, text, transform=across, size=10, weight="bold")
                y += _NAME
            value, low, high = row.numbers
            label = " ".join(
                filter(None, [one_line(row.label, 40), row.detail and f"({row.detail})"])
            )
            on.text(0, y + 12, label, transform=across, size=9, color=COLOURS["soft"])
            numbers = f"{row.value} {row.interval}"
            on.text(1, y + 12, numbers, transform=across, size=9, ha="right")
            low, high = max(low, span.low), min(high, span.high)
            paint = colour(row.series)
            if low < high:
                on.hlines(y + 21, low, high, color=paint, linewidth=2)
            inside = min(max(value, span.low), span.high)
            marker = "o" if inside == value else ">" if value > inside else "<"
            on.plot(inside, y + 21, marker, color=paint, markersize=6)
            y += _ROW
        on.set_xlabel(span.label)

    return Figure(
        forest.name,
        forest.title,
        Chart(draw, forest.title, height + TOP + BOTTOM),
        forest.caption,
        [],
        pl.DataFrame(
            [(row.group, row.label, *row.numbers) for row in forest.rows],
            {"group": pl.String, "label": pl.String}
            | dict.fromkeys(("value", "low", "high"), pl.Float64),
            orient="row",
        ),
        in_page=False,
    )
