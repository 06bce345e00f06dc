"""Strips in SVG: intervals on a common axis, one in each row, as wide as the page lets them be.

Series are named by CSS classes (`s0`, `s1`, ... and `ref`), so one drawing serves light and dark.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from corarec.extras import needs

with needs("report"):
    from markupsafe import Markup, escape


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
