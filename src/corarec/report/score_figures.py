"""The figures of scores: how well they order, how far they can be trusted, for whom they differ."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from corarec.extras import needs
from corarec.report.chart import (
    BOTTOM,
    COLOURS,
    Chart,
    axes,
    colour,
    dash,
    few,
    guide,
    tip,
    whole_numbers,
)
from corarec.report.data import ScoreView, UserDifferences
from corarec.report.figures import SHOWN, Figure, Palette, best_of

with needs("report"):
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas


SPREADS = 4
"""So many systems have their scores by label drawn, and as many pairs their users."""

_ENJOYED, _NOT = "better", "worse"
_UNIT = (0.0, 0.25, 0.5, 0.75, 1.0)


def score_figures(views: Sequence[ScoreView], palette: Palette) -> list[Figure]:
    """Draw everything about scores; nothing without any."""
    if not views:
        return []
    return [
        roc_figure(views, palette),
        reliability_figure(views, palette),
        user_auc_figure(views, palette),
        *distribution_figures(views),
    ]


def roc_figure(views: Sequence[ScoreView], palette: Palette) -> Figure:
    """Draw one ROC curve per system."""
    drawn = [(view, view.auc) for view in views if view.roc and view.auc is not None]
    if not drawn:
        return Figure(
            "roc", "ROC curve", None, "All rows have one label, so there is no ROC curve."
        )

    def draw(canvas: Canvas) -> None:
        on = _unit_axes(canvas, "false positive rate", "true positive rate")
        guide(on, [0, 1], [0, 1])
        for view, value in drawn[:SHOWN]:
            series = palette(view.name)
            (line,) = on.plot(
                *zip(*view.roc, strict=True),
                color=colour(series),
                linestyle=dash(series),
                linewidth=2,
            )
            tip(line, f"{view.name}: AUC {value:.3f}")

    best, _ = max(drawn, key=lambda one: one[1])
    return Figure(
        "roc",
        "ROC curve",
        Chart(draw, "ROC curve per system"),
        f"Further to the upper left is better; the dashed line is chance. The area under the curve "
        f"is the AUC, in brackets: {best.name} has the largest.{best_of(len(drawn))}",
        [(palette(view.name), f"{view.name} ({value:.3f})") for view, value in drawn[:SHOWN]],
        _frame(
            [(view.name, *point) for view, _ in drawn for point in view.roc],
            ("false_positive_rate", "true_positive_rate"),
        ),
    )


def reliability_figure(views: Sequence[ScoreView], palette: Palette) -> Figure:
    """Draw predicted against observed shares, and below them how many rows a bin has."""
    drawn = [view for view in views if view.reliability]
    if not drawn:
        why = "No system here gives probabilities, so there is nothing to calibrate."
        return Figure("calibration", "Calibration", None, why)
    counts, gap = 60.0, 14.0

    def draw(canvas: Canvas) -> None:
        on = _unit_axes(canvas, "", "observed share", bottom=BOTTOM + counts + gap)
        on.set_xticklabels([])
        guide(on, [0, 1], [0, 1])
        below = axes(canvas, height=counts)
        for view in drawn[:SHOWN]:
            series = palette(view.name)
            look: Any = {"color": colour(series), "linestyle": dash(series)}
            x = [one.predicted for one in view.reliability]
            y = [one.observed for one in view.reliability]
            low, high = ([getattr(one, end) for one in view.reliability] for end in ("low", "high"))
            on.vlines(x, low, high, color=colour(series), linewidth=1.2, alpha=0.55)
            on.plot(x, y, linewidth=2, **look)
            below.plot(x, [one.rows for one in view.reliability], linewidth=1.5, **look)
            for one in view.reliability:
                (dot,) = on.plot(one.predicted, one.observed, "o", markersize=5, **look)
                tip(
                    dot,
                    f"{view.name}: predicted {one.predicted:.3f}, observed {one.observed:.3f} "
                    f"in {one.rows:,} rows",
                )
        below.set_xlim(0, 1)
        below.set_xticks(_UNIT)
        below.set_ylim(bottom=0)
        below.set_xlabel("predicted probability")
        below.set_ylabel("rows")
        whole_numbers(below.yaxis, 2)

    fields = ("predicted", "observed", "low", "high", "rows")
    return Figure(
        "calibration",
        "Calibration",
        Chart(draw, "Reliability diagram, and the rows in each bin", 320.0),
        "A point on the dashed line means that of the items given 70%, 70% were enjoyed; below "
        "it the system is too sure. Above: bins of equal width, the share in each with its 95% "
        "interval, rows taken as independent; below: how many rows each has. In brackets the "
        f"ECE, the mean distance from the line weighted by rows.{best_of(len(drawn))}",
        [
            (palette(view.name), f"{view.name} (ECE {view.calibration_error or 0:.3f})")
            for view in drawn[:SHOWN]
        ],
        _frame(
            [
                (view.name, *(float(getattr(one, field)) for field in fields))
                for view in drawn
                for one in view.reliability
            ],
            fields,
        ),
    )


def user_auc_figure(views: Sequence[ScoreView], palette: Palette) -> Figure:
    """Draw how the users' own AUCs spread."""
    drawn = [view for view in views if sum(view.user_auc_counts)]
    if not drawn:
        why = "No user has rows of both labels, so no user has an AUC."
        return Figure("user-auc", "AUC within users", None, why)

    def draw(canvas: Canvas) -> None:
        on = axes(canvas)
        for view in drawn[:SHOWN]:
            edges = np.linspace(0, 1, len(view.user_auc_counts) + 1)
            _steps(on, edges.tolist(), view.user_auc_counts, palette(view.name))
        top = on.get_ylim()[1]
        guide(on, [0.5, 0.5], [0, top])
        _histogram_axes(on, "AUC within a user", "users", top)
        on.set_xlim(0, 1)
        on.set_xticks(_UNIT)

    below = "; ".join(f"{view.name} {_share_below_chance(view):.0%}" for view in drawn[:SHOWN])
    return Figure(
        "user-auc",
        "AUC within users",
        Chart(draw, "Histogram of the users' AUCs"),
        f"UAUC is the mean of this spread, in brackets. Users with few rows lie far out by chance "
        f"alone. Share of users below 0.5: {below}.{best_of(len(drawn))}",
        [
            (palette(view.name), f"{view.name} (mean {view.uauc or 0:.3f})")
            for view in drawn[:SHOWN]
        ],
        _frame(
            [
                (view.name, n / len(view.user_auc_counts), float(count))
                for view in drawn
                for n, count in enumerate(view.user_auc_counts)
            ],
            ("from", "users"),
        ),
    )


def distribution_figures(views: Sequence[ScoreView]) -> list[Figure]:
    """Draw the scores of the rows of each label, a figure for each of the first systems."""
    left_out = best_of(len(views), SPREADS)
    return [_distribution(number, view, left_out) for number, view in enumerate(views[:SPREADS], 1)]


def _distribution(number: int, view: ScoreView, left_out: str) -> Figure:
    name, title = f"scores-{number}", f"Scores by label: {view.name}"
    found = view.distribution
    sides = {"enjoyed": found.enjoyed, "not enjoyed": found.not_enjoyed}
    series = {"enjoyed": _ENJOYED, "not enjoyed": _NOT}
    rows = {side: sum(counts) for side, counts in sides.items()}

    def draw(canvas: Canvas) -> None:
        on = axes(canvas)
        for side, counts in sides.items():
            if rows[side]:
                shares = [100 * count / rows[side] for count in counts]
                _steps(on, found.edges, shares, series[side])
        unit = "predicted probability" if found.probability else "score"
        _histogram_axes(on, unit, "% of the rows of a label", on.get_ylim()[1])
        if found.probability:
            on.set_xlim(0, 1)
            on.set_xticks(_UNIT)

    one = " All rows have one label." if not all(rows.values()) else ""
    return Figure(
        name,
        title,
        Chart(draw, "Histogram of the scores of the rows of each label"),
        "Each label's rows make 100%. The less the two overlap, the better the order; how far "
        f"apart they stand says nothing of it.{one}{left_out}",
        [(series[side], f"{side} ({count:,} rows)") for side, count in rows.items() if count],
        _frame(
            [
                (view.name, *map(float, row))
                for row in zip(
                    found.edges[:-1],
                    found.edges[1:],
                    found.enjoyed,
                    found.not_enjoyed,
                    strict=True,
                )
            ],
            ("from", "to", "enjoyed", "not_enjoyed"),
        ),
    )


def user_difference_figures(pairs: Sequence[UserDifferences]) -> list[Figure]:
    """Draw the users' differences, largest first, a figure for each of the first pairs."""
    more = len(pairs) - SPREADS
    left_out = f" {more} further pairs are not drawn." if more > 0 else ""
    return [
        _user_difference(number, pair, left_out) for number, pair in enumerate(pairs[:SPREADS], 1)
    ]


def _user_difference(number: int, pair: UserDifferences, left_out: str) -> Figure:
    name = f"users-{number}"
    title = f"User by user: {pair.first} \N{MINUS SIGN} {pair.second}"
    if not pair.curve or pair.mean is None:
        why = "No user has rows of both labels, so there is no AUC within a user to compare."
        return Figure(name, title, None, why)
    curve, mean = pair.curve, pair.mean

    def draw(canvas: Canvas) -> None:
        on = axes(canvas)
        x, y = (np.array(values) for values in zip(*curve, strict=True))
        for sign, series in ((1, "better"), (-1, "worse")):
            part = np.where(sign * y > 0, y, 0.0)
            on.fill_between(100 * x, 0, part, color=colour(series), alpha=0.3, linewidth=0)
        on.plot(100 * x, y, color=colour("s0"), linewidth=1.5, marker="o" if len(x) == 1 else "")
        on.axhline(0, color=COLOURS["ref"], linewidth=1)
        guide(on, [0, 100], [mean, mean])
        reach = 1.05 * max(float(np.abs(y).max()), 0.01)
        on.set_ylim(-reach, reach)
        on.set_xlim(0, 100)
        on.set_xlabel("users, largest difference first (%)")
        on.set_ylabel("difference in AUC within the user")
        few(on.yaxis)

    out = f"; {pair.left_out:,} with one label only are left out" if pair.left_out else ""
    users = pair.better + pair.equal + pair.worse
    return Figure(
        name,
        title,
        Chart(draw, "Differences in the AUC within each user, sorted"),
        f"Above zero {pair.first} orders a user's items better, for {pair.better:,} of "
        f"{users:,} users; below {pair.second} does, for {pair.worse:,}; {pair.equal:,} are alike"
        f"{out}. Dashed: the mean {mean:+.4f}, the difference in UAUC. Sorted differences cross "
        f"zero for equal systems, too.{left_out}",
        [],
        _frame(
            [(pair.first, pair.second, *point) for point in curve],
            ("share_of_users", "difference"),
            ("first", "second"),
        ),
    )


def _share_below_chance(view: ScoreView) -> float:
    half = len(view.user_auc_counts) // 2
    return sum(view.user_auc_counts[:half]) / sum(view.user_auc_counts)


def _unit_axes(canvas: Canvas, x: str, y: str, bottom: float = BOTTOM) -> Axes:
    on = axes(canvas, bottom=bottom)
    on.set_xlim(0, 1)
    on.set_ylim(0, 1)
    on.set_xticks(_UNIT)
    on.set_yticks(_UNIT)
    on.set_xlabel(x)
    on.set_ylabel(y)
    return on


def _steps(on: Axes, edges: Sequence[float], heights: Sequence[float], series: str) -> None:
    corners = np.repeat(np.asarray(edges, dtype=np.float64), 2)[1:-1]
    values = np.repeat(np.asarray(heights, dtype=np.float64), 2)
    on.fill_between(corners, 0, values, color=colour(series), alpha=0.15, linewidth=0)
    on.plot(corners, values, color=colour(series), linestyle=dash(series), linewidth=1.5)


def _histogram_axes(on: Axes, x: str, y: str, top: float) -> None:
    on.set_ylim(0, top)
    on.margins(x=0)
    on.set_xlabel(x)
    on.set_ylabel(y)
    whole_numbers(on.yaxis) if top >= 5 else few(on.yaxis)


def _frame(
    rows: Sequence[tuple[object, ...]],
    numbers: Sequence[str],
    names: Sequence[str] = ("system",),
) -> pl.DataFrame:
    schema = dict.fromkeys(names, pl.String) | dict.fromkeys(numbers, pl.Float64)
    return pl.DataFrame(rows, schema, orient="row")
