"""What a figure is, and those of training: a chart, a legend, a caption that says what to see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from corarec.evaluate.metrics import METRICS, larger_is_better, metric_title
from corarec.extras import needs
from corarec.report.chart import AGAIN, Chart, axes, colour, dash, few, tip, whole_numbers
from corarec.report.data import Point, TrainingCurve

with needs("report"):
    from matplotlib.figure import Figure as Canvas


SHOWN = 8
"""So many systems stand in one figure, for more could not be told apart."""
COLOURS = 8

_MAX_LINE_POINTS = 150


class Palette:
    """One colour per name, the same in every figure and table of a page."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._series: dict[str, str] = {}
        for name in names:
            self(name)

    def __call__(self, name: str) -> str:
        """Return the CSS classes of a name; a new name gets the next colour."""
        number = len(self._series)
        series = f"s{number % COLOURS}" + f" {AGAIN}" * (number >= COLOURS)
        return self._series.setdefault(name, series)


@dataclass(frozen=True)
class Figure:
    """What the page prints, and what stands in files beside it."""

    name: str
    """Of its files, without an ending."""
    title: str
    chart: Chart | None
    """None where there is nothing to draw."""
    caption: str
    """What to see; without a chart, why there is none."""
    legend: list[tuple[str, str]] = field(default_factory=list)
    """(series class, name)"""
    table: pl.DataFrame = field(default_factory=pl.DataFrame)
    """The data of the chart."""
    in_page: bool = True
    """False where the page shows the same in a form of its own."""


def best_of(count: int, shown: int = SHOWN) -> str:
    """Say that not all systems are drawn, where they are not."""
    return f" Drawn are the best {shown} of {count} systems." if count > shown else ""


def training_figures(curves: Sequence[TrainingCurve], palette: Palette) -> list[Figure]:
    """Draw training loss and validation metrics against the step, one line per run."""
    figures = []
    losses = [(curve.name, curve.train_loss) for curve in curves if curve.train_loss]
    if losses:
        ends = _each({name: f"{points[-1][1]:.3f}" for name, points in losses}, "ends at")
        figures.append(
            _lines(
                "training-loss",
                "Training loss",
                losses,
                "loss per pair",
                f"Lower is better, on pairs the run learns from. {ends}",
                palette,
            )
        )
    metrics = dict.fromkeys(metric for curve in curves for metric in curve.valid)
    for metric in metrics:
        known = metric.partition("@")[0] in METRICS
        title = metric_title(metric) if known else metric
        larger = larger_is_better(metric) if known else "loss" not in metric
        runs = [(curve, curve.valid[metric]) for curve in curves if curve.valid.get(metric)]
        best = [(curve.name, _best(points, curve, larger)) for curve, points in runs]
        peaks = _each({name: f"{value:.3f} at step {step:,.0f}" for name, (step, value) in best})
        figures.append(
            _lines(
                f"validation-{metric}",
                f"Validation {title}",
                [(curve.name, points) for curve, points in runs],
                f"{title} on the validation sample",
                f"A ring marks the {'largest' if larger else 'smallest'} value of the last phase; "
                f"the weights with the best validation are kept. {peaks}",
                palette,
                rings=best,
            )
        )
    if not figures and curves:
        why = "No log of a training was found, or it holds no number."
        return [Figure("training-loss", "Training", None, why)]
    return figures


def _best(points: Sequence[Point], curve: TrainingCurve, larger: bool) -> Point:
    last = [point for point in points if point[0] > curve.last_phase] or points
    return (max if larger else min)(last, key=lambda point: point[1])


def _each(said: Mapping[str, str], word: str = "") -> str:
    """List what there is to say of each name, where there are few."""
    if len(said) > SHOWN // 2:
        return ""
    return (
        "; ".join(f"{name} {word} {text}".replace("  ", " ") for name, text in said.items()) + "."
    )


def _lines(
    name: str,
    title: str,
    curves: Sequence[tuple[str, Sequence[Point]]],
    unit: str,
    caption: str,
    palette: Palette,
    rings: Sequence[tuple[str, Point]] = (),
) -> Figure:
    names = list(dict.fromkeys(name for name, _ in curves))
    shown = names[:SHOWN]

    def draw(canvas: Canvas) -> None:
        on = axes(canvas)
        for system, points in curves:
            if system in shown:
                x, y = zip(*thinned(points), strict=True)
                series = palette(system)
                marker = "o" if len(x) == 1 else ""
                (line,) = on.plot(
                    x,
                    y,
                    color=colour(series),
                    linestyle=dash(series),
                    linewidth=2,
                    marker=marker,
                    solid_joinstyle="round",
                )
                tip(line, system)
        for system, (step, value) in rings:
            if system in shown:
                (ring,) = on.plot(
                    step,
                    value,
                    "o",
                    markersize=9,
                    markerfacecolor="none",
                    color=colour(palette(system)),
                    markeredgewidth=2,
                )
                tip(ring, f"{system}: {value:.4f} at step {step:,.0f}")
        on.margins(x=0.03, y=0.08)
        on.set_xlabel("optimizer step")
        on.set_ylabel(unit)
        few(on.yaxis)
        whole_numbers(on.xaxis)

    rows = [(system, step, value) for system, points in curves for step, value in points]
    return Figure(
        name,
        title,
        Chart(draw, f"{title} against the step"),
        caption.strip() + best_of(len(names)),
        [(palette(system), system) for system in shown],
        pl.DataFrame(
            rows, {"system": pl.String, "step": pl.Float64, "value": pl.Float64}, orient="row"
        ),
    )


def thinned(points: Sequence[Point], most: int = _MAX_LINE_POINTS) -> list[Point]:
    """Average neighbours, so that a long noisy curve stays a readable line."""
    if len(points) <= most:
        return list(points)
    size = -(-len(points) // most)
    groups = [np.array(points[start : start + size]) for start in range(0, len(points), size)]
    return [(float(step), float(value)) for step, value in (group.mean(axis=0) for group in groups)]
