"""How a table becomes text: numbers with their intervals, a terminal, Markdown."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from corarec.evaluate.result import Difference, Estimate
from corarec.evaluate.significance import PValue
from corarec.text import printable

MISSING = "\N{EN DASH}"
"""Printed where a metric has no value: a part without rows or with one label only."""

MINUS = "\N{MINUS SIGN}"

UNDER = {"interval": "", "p": "p ", "Holm": "Holm "}
"""Columns that stand below the one before them in a terminal, and what is written before them."""


@dataclass(frozen=True)
class TableText:
    """A table as text, before it gets a form."""

    columns: tuple[str, ...]
    systems: list[tuple[str, ...]]
    references: list[tuple[str, ...]]
    note: str


def estimate_text(estimate: Estimate | None) -> str:
    """Return a metric, with its spread over seeds where there are several: `0.712 ± 0.004`."""
    if estimate is None:
        return MISSING
    spread = "" if estimate.spread is None else f" ± {estimate.spread:.3f}"
    return f"{estimate.value:.3f}{spread}"


def interval_text(interval: Estimate | Difference | None) -> str:
    """Return an interval: `[0.701, 0.723]`."""
    if interval is None:
        return MISSING
    if isinstance(interval, Difference):
        return f"[{signed(interval.low)}, {signed(interval.high)}]"
    return f"[{interval.low:.3f}, {interval.high:.3f}]"


def signed(value: float) -> str:
    """Return a difference with its sign: `+0.012`, `−0.003`; `0.000` is zero and nothing else.

    A value that three digits would make zero gets as many as its first takes: `+0.0002`.
    """
    if value == 0:
        return "0.000"
    digits = _digits(abs(value))
    return f"{'+' if value > 0 else MINUS}{abs(value):.{digits}f}"


def p_value_text(p_value: PValue | None) -> str:
    """Return a p-value: `0.012`, or `≤ 0.002` where the draws say no more."""
    if p_value is None:
        return MISSING
    digits = _digits(p_value.value)
    if not p_value.at_most:
        return f"{p_value.value:.{digits}f}"
    # A bound is rounded upwards, to stay one; the small number is what floats do to 0.002.
    bound = math.ceil(p_value.value * 10**digits - 1e-9) / 10**digits
    return f"≤ {bound:.{digits}f}"


def _digits(value: float) -> int:
    """Return 3, or as many digits as it takes for a positive value not to be rounded to zero."""
    return 3 if value >= 0.0005 else max(3, -math.floor(math.log10(value)))


def markdown_table(text: TableText) -> str:
    """Return a table as Markdown, its note below it."""
    lines = [
        _markdown_row(text.columns),
        _markdown_row(["---"] + ["---:"] * (len(text.columns) - 1)),
        *(_markdown_row(row) for row in text.systems),
        *(_markdown_row([f"*{row[0]}*", *row[1:]]) for row in text.references),
    ]
    return "\n".join([*lines, "", text.note, ""])


@dataclass(frozen=True)
class FoldedCell:
    """A value and what stands below it: its interval, its p-values."""

    column: str
    value: str
    below: list[str]


def folded(columns: Sequence[str], row: Sequence[str]) -> list[FoldedCell]:
    """Put intervals and p-values below their metric, so that a table fits a narrow place."""
    cells: list[FoldedCell] = []
    for column, value in zip(columns, row, strict=True):
        if column in UNDER:
            cells[-1].below.append(f"{UNDER[column]}{value}")
        else:
            cells.append(FoldedCell(column, value, []))
    return cells


def _markdown_row(cells: Sequence[str]) -> str:
    # On one line whatever stands in it: a line break would end the table.
    shown = (printable(cell, len(cell)).replace("|", "\\|") for cell in cells)
    return "| " + " | ".join(shown) + " |"
