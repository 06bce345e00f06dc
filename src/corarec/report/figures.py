"""The figures of the page: each a drawing, a legend and a caption that says what to see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from corarec.extras import needs
from corarec.report.data import Point, ScoreView, TrainingCurve
from corarec.report.svg import Axis, Plot

with needs("report"):
    from markupsafe import Markup

_MAX_LINE_POINTS = 150
_COLOURS = 8


class Palette:
    """One colour per name, the same in every figure and table of a page."""

    def __init__(self, names: Sequence[str] = ()) -> None:
        self._series: dict[str, str] = {}
        for name in names:
            self(name)

    def __call__(self, name: str) -> str:
        """Return the CSS class of a name; a new name gets the next colour."""
        return self._series.setdefault(name, f"s{len(self._series) % _COLOURS}")


@dataclass(frozen=True)
class Figure:
    """What the template prints."""

    title: str
    drawing: Markup
    legend: list[tuple[str, str]]
    """(series class, name)"""
    caption: str


def training_figures(curves: Sequence[TrainingCurve], palette: Palette) -> list[Figure]:
    """Draw training loss and validation AUC against the step, one line per run."""
    figures = []
    losses = [(curve.name, _thinned(curve.train_loss)) for curve in curves if curve.train_loss]
    if losses:
        ends = "; ".join(f"{name} ends at {points[-1][1]:.3f}" for name, points in losses)
        caption = f"Lower is better, on pairs the run learns from. {ends}."
        figures.append(_lines("Training loss", losses, "loss per pair", caption, palette))
    aucs = [(curve.name, list(curve.valid_auc)) for curve in curves if curve.valid_auc]
    if aucs:
        best = [(name, max(points, key=lambda point: point[1])) for name, points in aucs]
        peaks = "; ".join(f"{name} {value:.3f} at step {step:,.0f}" for name, (step, value) in best)
        figures.append(
            _lines(
                "Validation AUC",
                aucs,
                "AUC on the validation sample",
                f"The ring marks the checkpoint that is kept: {peaks}.",
                palette,
                rings=dict(best),
            )
        )
    return figures


def roc_figure(views: Sequence[ScoreView], palette: Palette) -> Figure:
    """Draw one ROC curve per system."""
    plot = Plot(
        Axis.unit("false positive rate"), Axis.unit("true positive rate"), "ROC curve per system"
    )
    plot.guide((0, 0), (1, 1), "chance")
    for view in views:
        plot.line(view.roc, palette(view.name), title=f"{view.name}: AUC {view.auc:.3f}")
    best = max(views, key=lambda view: view.auc)
    return Figure(
        "ROC curve",
        plot.render(),
        [(palette(view.name), f"{view.name} ({view.auc:.3f})") for view in views],
        f"Further to the upper left is better; the dashed line is chance. The area under the curve "
        f"is the AUC, in brackets: {best.name} has the largest.",
    )


def reliability_figure(views: Sequence[ScoreView], palette: Palette) -> Figure | None:
    """Draw predicted against observed shares; None where no system's scores are logits."""
    plot = Plot(
        Axis.unit("predicted probability"), Axis.unit("observed share"), "Reliability diagram"
    )
    plot.guide((0, 0), (1, 1), "perfect calibration")
    legend = []
    for view in views:
        if not view.reliability:
            continue
        series = palette(view.name)
        plot.line([(one.predicted, one.observed) for one in view.reliability], series)
        for one in view.reliability:
            plot.whisker(one.predicted, one.low, one.high, series)
            plot.dot(
                one.predicted,
                one.observed,
                series,
                title=f"{view.name}: predicted {one.predicted:.3f}, observed {one.observed:.3f} "
                f"in {one.rows:,} rows",
            )
        legend.append((series, f"{view.name} (error {view.calibration_error or 0:.3f})"))
    if not legend:
        return None
    return Figure(
        "Calibration",
        plot.render(),
        legend,
        "A point on the dashed line means that of the items given 70%, 70% were enjoyed; below "
        "it the system is too sure. Each point is a tenth of the rows, with the 95% interval of "
        "its share; the error in brackets is the mean distance from the line.",
    )


def user_auc_figure(views: Sequence[ScoreView], palette: Palette) -> Figure | None:
    """Draw how the users' own AUCs spread; None where no user has both labels."""
    drawn = [view for view in views if sum(view.user_auc_counts)]
    if not drawn:
        return None
    tallest = max(max(view.user_auc_counts) for view in drawn)
    counts = Axis.fit([0.0, float(tallest)], "users")
    counts = Axis(0.0, counts.high, counts.label, counts.ticks, counts.digits)
    plot = Plot(Axis.unit("AUC within a user"), counts, "Histogram of the users' AUCs")
    for view in drawn:
        edges = np.linspace(0, 1, len(view.user_auc_counts) + 1).tolist()
        plot.steps(edges, view.user_auc_counts, palette(view.name))
    plot.guide((0.5, 0), (0.5, counts.high), "chance")
    below = "; ".join(f"{view.name} {_share_below_chance(view):.0%}" for view in drawn)
    return Figure(
        "AUC within users",
        plot.render(),
        [(palette(view.name), f"{view.name} (mean {view.uauc or 0:.3f})") for view in drawn],
        f"UAUC is the mean of this spread, in brackets. Users with few rows lie far out by chance "
        f"alone. Share of users below 0.5: {below}.",
    )


def _share_below_chance(view: ScoreView) -> float:
    half = len(view.user_auc_counts) // 2
    return sum(view.user_auc_counts[:half]) / sum(view.user_auc_counts)


def _lines(
    title: str,
    curves: Sequence[tuple[str, list[Point]]],
    unit: str,
    caption: str,
    palette: Palette,
    rings: Mapping[str, Point] | None = None,
) -> Figure:
    points = [point for _, curve in curves for point in curve]
    x = Axis.fit([step for step, _ in points], "optimizer step", margin=0.02)
    y = Axis.fit([value for _, value in points], unit)
    plot = Plot(x, y, f"{title} against the step")
    for name, curve in curves:
        plot.line(curve, palette(name), title=name)
    for name, (step, value) in (rings or {}).items():
        plot.dot(step, value, palette(name), title=f"{value:.4f} at step {step:,.0f}", ring=True)
    legend = [(palette(name), name) for name, _ in curves]
    return Figure(title, plot.render(), legend, caption)


def _thinned(points: Sequence[Point]) -> list[Point]:
    """Average neighbours, so that a long noisy curve stays a readable line."""
    if len(points) <= _MAX_LINE_POINTS:
        return list(points)
    size = -(-len(points) // _MAX_LINE_POINTS)
    groups = [np.array(points[start : start + size]) for start in range(0, len(points), size)]
    return [(float(step), float(value)) for step, value in (group.mean(axis=0) for group in groups)]
