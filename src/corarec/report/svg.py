"""A small chart in SVG: axes, lines, bands, bars and points; colours come from the page's CSS.

Series are named by CSS classes (`s0`, `s1`, ... and `ref`), so one drawing serves light and dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corarec.extras import needs

with needs("report"):
    from markupsafe import Markup, escape

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 360, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 12, 44


@dataclass(frozen=True)
class Axis:
    """One axis: what it spans, where it is marked, what it says."""

    low: float
    high: float
    label: str
    ticks: tuple[float, ...]
    digits: int = 1

    @classmethod
    def fit(cls, values: Sequence[float], label: str, *, margin: float = 0.06) -> "Axis":
        """Span the values with a margin, marked at round numbers."""
        low, high = min(values), max(values)
        room = (high - low or abs(high) or 1.0) * margin
        low, high = low - room, high + room
        step = round_step((high - low) / 4)
        ticks = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
        return cls(low, high, label, tuple(ticks.tolist()), digits=digits_of(step))

    @classmethod
    def unit(cls, label: str) -> "Axis":
        """Span 0 to 1."""
        return cls(0.0, 1.0, label, (0.0, 0.25, 0.5, 0.75, 1.0), digits=2)

    def fraction(self, value: float) -> float:
        """Return where a value lies, from 0 at the low end to 1 at the high end."""
        return (value - self.low) / (self.high - self.low)

    def text(self, tick: float) -> str:
        """Write a tick with as many digits as the steps between ticks need."""
        # Adding 0.0 turns the -0.0 of a rounded tick into 0.0.
        rounded = round(tick, self.digits) + 0.0
        return f"{rounded:,.{self.digits}f}".replace("-", "\N{MINUS SIGN}")


def round_step(step: float) -> float:
    """Return the nearest of 1, 2 and 5 times a power of ten that is not below `step`."""
    power = 10.0 ** np.floor(np.log10(step))
    return float(next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * 0.999))


def digits_of(step: float) -> int:
    """Return how many digits after the point a multiple of `step` needs."""
    return max(0, int(-np.floor(np.log10(step) + 1e-9)))


class Plot:
    """A drawing area with two axes; draw with its methods, then `render`."""

    def __init__(self, x: Axis, y: Axis, description: str) -> None:
        self._x, self._y, self._description = x, y, description
        self._marks: list[str] = []

    def line(self, points: Points, series: str, *, title: str = "") -> None:
        """Join points (x, y) in their order."""
        path = " ".join(f"{self._px(x):.1f},{self._py(y):.1f}" for x, y in points)
        self._add(f'<polyline class="line {series}" points="{path}"/>', title)

    def dot(self, x: float, y: float, series: str, *, title: str = "", ring: bool = False) -> None:
        """Draw one point, or a ring around it."""
        kind, radius = ("ring", 5.5) if ring else ("dot", 3.5)
        self._add(
            f'<circle class="{kind} {series}" cx="{self._px(x):.1f}" cy="{self._py(y):.1f}" '
            f'r="{radius}"/>',
            title,
        )

    def whisker(self, x: float, low: float, high: float, series: str) -> None:
        """Draw a vertical interval."""
        self._add(
            f'<line class="whisker {series}" x1="{self._px(x):.1f}" x2="{self._px(x):.1f}" '
            f'y1="{self._py(low):.1f}" y2="{self._py(high):.1f}"/>'
        )

    def steps(self, edges: Sequence[float], heights: Sequence[float], series: str) -> None:
        """Draw a histogram as a filled outline over `len(heights) + 1` edges."""
        corners = [(edges[0], 0.0)]
        for number, height in enumerate(heights):
            corners += [(edges[number], height), (edges[number + 1], height)]
        corners.append((edges[-1], 0.0))
        path = " ".join(f"{self._px(x):.1f},{self._py(y):.1f}" for x, y in corners)
        self._add(f'<polygon class="steps {series}" points="{path}"/>')

    def guide(self, start: tuple[float, float], end: tuple[float, float], text: str = "") -> None:
        """Draw a dashed line that the data are read against."""
        (x1, y1), (x2, y2) = start, end
        self._add(
            f'<line class="guide" x1="{self._px(x1):.1f}" y1="{self._py(y1):.1f}" '
            f'x2="{self._px(x2):.1f}" y2="{self._py(y2):.1f}"/>',
            text,
        )

    def render(self) -> Markup:
        """Return the chart as one inline SVG element."""
        description = escape(self._description)
        parts = [
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            f'aria-label="{description}">'
        ]
        parts += self._y_axis() + self._x_axis() + self._marks
        return Markup("".join([*parts, "</svg>"]))

    def _add(self, element: str, title: str = "") -> None:
        if title:
            element = f"<g><title>{escape(title)}</title>{element}</g>"
        self._marks.append(element)

    def _px(self, x: float) -> float:
        return _LEFT + self._x.fraction(x) * (WIDTH - _LEFT - _RIGHT)

    def _py(self, y: float) -> float:
        return HEIGHT - _BOTTOM - self._y.fraction(y) * (HEIGHT - _TOP - _BOTTOM)

    def _y_axis(self) -> list[str]:
        parts = []
        for tick in self._y.ticks:
            y = self._py(tick)
            parts.append(
                f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text class="tick end" x="{_LEFT - 7}" y="{y + 4:.1f}">'
                f"{self._y.text(tick)}</text>"
            )
        middle = (_TOP + HEIGHT - _BOTTOM) / 2
        parts.append(
            f'<text class="axis-label mid" transform="translate(11 {middle:.0f}) rotate(-90)">'
            f"{escape(self._y.label)}</text>"
        )
        return parts

    def _x_axis(self) -> list[str]:
        bottom = HEIGHT - _BOTTOM
        parts = [
            f'<line class="axis" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>'
        ]
        parts += [
            f'<text class="tick mid" x="{self._px(tick):.1f}" y="{bottom + 17}">'
            f"{self._x.text(tick)}</text>"
            for tick in self._x.ticks
        ]
        middle = (_LEFT + WIDTH - _RIGHT) / 2
        parts.append(
            f'<text class="axis-label mid" x="{middle:.0f}" y="{HEIGHT - 6}">'
            f"{escape(self._x.label)}</text>"
        )
        return parts


def strip(
    axis: Axis,
    value: float,
    low: float,
    high: float,
    series: str,
    *,
    label: str,
    guide: float | None = None,
) -> Markup:
    """Draw an interval with its value on a strip as wide as its cell; positions are percentages.

    What lies beyond the axis is cut off there; an arrow in the place of the dot says where it goes.
    """
    parts = [_strip_line("grid", axis, tick) for tick in axis.ticks]
    if guide is not None:
        parts.append(_strip_line("guide", axis, guide))
    inside = [min(max(end, axis.low), axis.high) for end in (low, high)]
    if inside[0] < inside[1]:
        start, end = (_percent(axis, place) for place in inside)
        parts.append(f'<line class="whisker {series}" x1="{start}" x2="{end}" y1="50%" y2="50%"/>')
    if axis.low <= value <= axis.high:
        parts.append(
            f'<circle class="dot {series}" cx="{_percent(axis, value)}" cy="50%" r="4.5"/>'
        )
    else:
        x, arrow = (
            ("0%", "\N{LEFTWARDS ARROW}") if value < axis.low else ("100%", "\N{RIGHTWARDS ARROW}")
        )
        kind = "start" if value < axis.low else "end"
        parts.append(
            f'<text class="beyond {kind} {series}" x="{x}" y="50%" dy="0.35em">{arrow}</text>'
        )
    return Markup(
        f'<svg class="strip" role="img" aria-label="{escape(label)}">' + "".join(parts) + "</svg>"
    )


def strip_axis(axis: Axis) -> Markup:
    """Draw the tick labels under a column of strips."""
    texts = "".join(
        f'<text class="tick mid" x="{_percent(axis, tick)}" y="12">{axis.text(tick)}</text>'
        for tick in axis.ticks
    )
    return Markup(f'<svg class="strip-axis" aria-hidden="true">{texts}</svg>')


def _strip_line(kind: str, axis: Axis, value: float) -> str:
    x = _percent(axis, value)
    return f'<line class="{kind}" x1="{x}" x2="{x}" y1="0" y2="100%"/>'


def _percent(axis: Axis, value: float) -> str:
    return f"{100 * axis.fraction(value):.2f}%"
