"""Charts by matplotlib: one drawing, as a part of the page and as SVG and PNG files.

In the page a chart takes its colours and its font from the style sheet, so that it knows the dark:
the colours of the light page, by which it was drawn, are replaced by their variables.
"""

import io
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from corarec.extras import needs
from corarec.text import printable

with needs("report"):
    import matplotlib.axis
    from markupsafe import Markup, escape
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas
    from matplotlib.font_manager import get_font_names
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FuncFormatter, MaxNLocator

COLOURS = {
    "s0": "#2f5f9e",
    "s1": "#c4572f",
    "s2": "#2b8064",
    "s3": "#8457a8",
    "s4": "#a9781a",
    "s5": "#2b8ba3",
    "s6": "#b0436e",
    "s7": "#5c6b2f",
    "ref": "#8a929b",
    "better": "#2b8065",
    "worse": "#b8432f",
    "paper": "#fcfbf8",
    "ink": "#1d2126",
    "soft": "#5a626c",
    "grid": "#ebe8e1",
}
"""The light colours of the page's style sheet, by variable; no two alike."""

WIDTH = 360.0
"""Points, as all sizes here."""
LEFT, RIGHT, TOP, BOTTOM = 46.0, 12.0, 12.0, 44.0

AGAIN = "again"
"""Second word of a series whose colour stands for another one, too."""

_INCH = 72.0
_PIXELS_PER_INCH = 200
_LINE = 14.0
_LETTERS = 62
_TIP = "tip:"
_SCRIPTS = ("Noto Sans CJK JP", "WenQuanYi Zen Hei", "Noto Sans Arabic", "Noto Sans Hebrew")
"""Fonts that help out, where they are installed."""


@dataclass(frozen=True)
class Chart:
    """A drawing of a fixed size."""

    draw: Callable[[Canvas], None]
    """Puts its axes where `axes` says, in points from the lower left corner."""
    description: str
    """What is seen, for those who do not see it."""
    height: float = 260.0

    def inline(self) -> Markup:
        """Return the chart as one SVG element of the page; it needs and loads nothing."""
        text = _svg(self._drawn(0.0, transparent=True))
        text = text[text.index("<svg") :]
        text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
        text = re.sub(r"<svg[^>]*>", f'<svg class="chart" {self._attributes}>', text, count=1)
        text = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", text)
        names = {colour: name for name, colour in COLOURS.items()}
        text = re.sub(
            r"(: )(#[0-9a-f]{6})",
            lambda found: f"{found[1]}var(--{names[found[2]]})" if found[2] in names else found[0],
            text,
        )
        return Markup(re.sub(r"\s*\n\s*", " ", text))

    def files(self, title: str, legend: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        """Return the chart under its title and legend, by ending: `svg` and `png`."""
        lines = [
            (series if not part else "", text)
            for series, name in legend
            for part, text in enumerate(wrapped(name))
        ]
        header = _LINE * (2 + len(lines))
        canvas = self._drawn(header)
        self._write_header(canvas, title, lines)
        with _style():
            image = io.BytesIO()
            FigureCanvasAgg(canvas).print_png(image, metadata={"Software": None})
        return {"svg": _svg(canvas).encode(), "png": image.getvalue()}

    @property
    def _attributes(self) -> str:
        box = f"0 0 {WIDTH:g} {self.height:g}"
        return f'viewBox="{box}" role="img" aria-label="{escape(self.description)}"'

    def _drawn(self, header: float, *, transparent: bool = False) -> Canvas:
        with _style():
            size = (WIDTH / _INCH, (self.height + header) / _INCH)
            canvas = Canvas(figsize=size, dpi=_PIXELS_PER_INCH)
            self.draw(canvas)
            if transparent:
                canvas.patch.set_visible(False)
            for part in canvas.findobj(match=None, include_self=False):
                part.set_clip_on(False)  # a clip would need an id of its own in the page
        return canvas

    def _write_header(self, canvas: Canvas, title: str, lines: Sequence[tuple[str, str]]) -> None:
        height = self.height + _LINE * (2 + len(lines))
        with _style():
            y = height - _LINE
            canvas.text(
                10 / WIDTH, y / height, printable(title), size=12, weight="bold", va="center"
            )
            for series, text in lines:
                y -= _LINE
                if series:
                    canvas.add_artist(_key(series, 15 / WIDTH, (y - 2) / height))
                canvas.text(24 / WIDTH, (y - 2) / height, text, size=10, va="center")


def axes(
    canvas: Canvas,
    *,
    left: float = LEFT,
    bottom: float = BOTTOM,
    width: float = WIDTH - LEFT - RIGHT,
    height: float = 260.0 - TOP - BOTTOM,
    grid: str = "y",
) -> Axes:
    """Return axes at a place in points, with a faint grid along `x`, `y` or neither (empty)."""
    whole = canvas.get_figheight() * _INCH
    place = (left / WIDTH, bottom / whole, width / WIDTH, height / whole)
    made = canvas.add_axes(place)
    made.patch.set_visible(False)
    for side, spine in made.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(COLOURS["ref"])
    if grid:
        made.grid(axis="x" if grid == "x" else "y", color=COLOURS["grid"], linewidth=1)
    made.set_axisbelow(True)
    return made


def colour(series: str) -> str:
    """Return the colour of a series such as `s0`, `s0 again` or `ref`."""
    return COLOURS[series.split()[0]]


def dash(series: str) -> str:
    """Return the style of a line: dashed where another series has its colour."""
    return "--" if AGAIN in series.split() else "-"


def guide(on: Axes, x: Sequence[float], y: Sequence[float]) -> None:
    """Draw a dashed line that the data are read against."""
    on.plot(x, y, color=COLOURS["ref"], linewidth=1, linestyle=(0, (4, 4)), zorder=1.5)


def tip(artist: Artist, text: str) -> None:
    """Let the page say a text where the pointer rests on a part of a chart."""
    artist.set_gid(_TIP + printable(text).replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}"))


def whole_numbers(axis: matplotlib.axis.Axis, most: int = 5) -> None:
    """Mark an axis of steps or counts at few places, large numbers written shortly."""
    axis.set_major_locator(MaxNLocator(most, integer=True))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))


def few(axis: matplotlib.axis.Axis, most: int = 5) -> None:
    """Mark an axis at few round places."""
    axis.set_major_locator(MaxNLocator(most))


def short_number(value: float) -> str:
    """Return a count as a tick has room for it: `950`, `1,200`, `20k`, `1.5M`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= max(size, 10_000):
            return f"{value / size:,.3g}{letter}"
    return f"{value:,.0f}"


def wrapped(text: str, letters: int = _LETTERS, lines: int = 3) -> list[str]:
    """Return a name in lines that fit the width of a chart, cut where it takes too many."""
    return textwrap.wrap(
        printable(text), letters, max_lines=lines, placeholder=" \N{HORIZONTAL ELLIPSIS}"
    ) or [""]


def one_line(text: str, letters: int = _LETTERS) -> str:
    """Return a name on one line, cut in its middle where it is too long."""
    shown = printable(text)
    if len(shown) <= letters:
        return shown
    half = (letters - 1) // 2
    return f"{shown[:half]}\N{HORIZONTAL ELLIPSIS}{shown[-half:]}"


def _key(series: str, x: float, y: float) -> Line2D:
    face = COLOURS["paper"] if AGAIN in series.split() else colour(series)
    return Line2D(
        [x], [y], marker="o", markersize=6, color=colour(series), markerfacecolor=face, linestyle=""
    )


def _svg(canvas: Canvas) -> str:
    with _style():
        text = io.StringIO()
        canvas.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    drawn = text.getvalue()
    drawn = re.sub(
        rf"<g id=([\"']){_TIP}(.*?)\1>", lambda found: f"<g><title>{found[2]}</title>", drawn
    )
    # Ids that nothing refers to would stand several times in one page.
    return re.sub(r'<g id="[^"]*"', "<g", drawn)


@contextmanager
def _style() -> Iterator[None]:
    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "corarec",
        "text.parse_math": False,
        "text.color": COLOURS["ink"],
        "font.family": _fonts(),
        "font.size": 10.5,
        "axes.labelsize": 11,
        "axes.labelcolor": COLOURS["soft"],
        "xtick.labelcolor": COLOURS["soft"],
        "ytick.labelcolor": COLOURS["soft"],
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.major.pad": 6,
        "ytick.major.pad": 6,
        "lines.solid_capstyle": "round",
    }
    with matplotlib.rc_context(style), warnings.catch_warnings():
        # A PNG shows a box for a letter that no font has; a browser finds one for an SVG.
        warnings.filterwarnings("ignore", "Glyph|.*missing from font", UserWarning)
        yield


@cache
def _fonts() -> list[str]:
    there = set(get_font_names())
    return ["DejaVu Sans", *(name for name in _SCRIPTS if name in there)]
