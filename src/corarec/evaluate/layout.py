"""How a table becomes text: numbers with their intervals, a terminal, Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from corarec.evaluate.result import Difference, Estimate

MISSING = "\N{EN DASH}"
"""Printed where a metric has no value: a part without rows or with one label only."""

MINUS = "\N{MINUS SIGN}"

_UNDER = {"interval": "", "p": "p "}
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
    """Return a difference with its sign: `+0.012`, `−0.003`, and `0.000` for what rounds to it."""
    rounded = round(value, 3)
    if rounded == 0:
        return "0.000"
    return f"+{rounded:.3f}" if rounded > 0 else f"{MINUS}{-rounded:.3f}"


def p_value_text(difference: Difference | None) -> str:
    """Return a two-sided p-value: `0.012`, or `< 0.001`."""
    if difference is None:
        return MISSING
    return "< 0.001" if difference.p_value < 0.001 else f"{difference.p_value:.3f}"


def terminal_table(text: TableText, title: str) -> Table:
    """Return a table for a rich console."""
    table = Table(
        title=title,
        caption=text.note,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        collapse_padding=True,
        pad_edge=False,
    )
    table.caption_justify = "left"
    table.add_column(text.columns[0], min_width=14)
    for column in text.columns[1:]:
        if column not in _UNDER:
            table.add_column(column.replace(" ", "\n"), justify="right", no_wrap=True)
    for row in text.systems:
        table.add_row(*_folded(text.columns, row))
    if text.systems and text.references:
        table.add_section()
    for row in text.references:
        table.add_row(*_folded(text.columns, row), style="dim")
    return table


def markdown_table(text: TableText) -> str:
    """Return a table as Markdown, its note below it."""
    lines = [
        _markdown_row(text.columns),
        _markdown_row(["---"] + ["---:"] * (len(text.columns) - 1)),
        *(_markdown_row(row) for row in text.systems),
        *(_markdown_row([f"*{row[0]}*", *row[1:]]) for row in text.references),
    ]
    return "\n".join([*lines, "", text.note, ""])


def _folded(columns: Sequence[str], row: Sequence[str]) -> list[Text]:
    """Put intervals and p-values below their metric, so that a table fits a narrow terminal."""
    cells: list[Text] = []
    for column, value in zip(columns, row, strict=True):
        if column in _UNDER:
            cells[-1].append(f"\n{_UNDER[column]}{value}", style="dim")
        else:
            cells.append(Text(value))
    return cells


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
