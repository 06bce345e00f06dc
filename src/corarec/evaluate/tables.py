"""Results as a table: in the terminal, in Markdown, as JSON; the references always beside."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from corarec.evaluate.result import (
    Comparison,
    Difference,
    Estimate,
    Evaluation,
    PartComparison,
    PartEvaluation,
    ResultTable,
)

MISSING = "\N{EN DASH}"
"""Printed where a metric has no value: a part without rows or with one label only."""

_UNDER = {"interval": "", "p": "p "}
"""Columns that stand below the one before them in a terminal, and what is written before them."""

_MINUS = "\N{MINUS SIGN}"


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
    return f"+{rounded:.3f}" if rounded > 0 else f"{_MINUS}{-rounded:.3f}"


def p_value_text(difference: Difference | None) -> str:
    """Return a two-sided p-value: `0.012`, or `< 0.001`."""
    if difference is None:
        return MISSING
    return "< 0.001" if difference.p_value < 0.001 else f"{difference.p_value:.3f}"


def result_text(results: ResultTable) -> TableText:
    """Lay out the evaluations: one row per system, then one per trivial reference."""
    evaluations = [*results.systems, *results.references]
    parts = [part for part in _part_names(evaluations) if part != "all"]
    columns = ["System", "AUC", "interval", "UAUC", "interval"]
    columns += [f"{part} {metric}" for part in parts for metric in ("AUC", "UAUC")]
    return TableText(
        columns=tuple(columns),
        systems=[_evaluation_row(evaluation, parts) for evaluation in results.systems],
        references=[_evaluation_row(evaluation, parts) for evaluation in results.references],
        note=results_note(results),
    )


def comparison_text(comparisons: Sequence[Comparison]) -> TableText:
    """Lay out the paired tests: one row per pair of systems and part of the rows."""
    rows = []
    for comparison in comparisons:
        for part, result in comparison.parts.items():
            rows.append(_comparison_row(comparison, part, result))
    columns = ("Difference", "Rows", "AUC", "interval", "p", "UAUC", "interval", "p")
    return TableText(columns, rows, [], comparisons_note(comparisons))


def results_note(results: ResultTable) -> str:
    """Say on what the numbers stand: rows, users, users left out, how intervals were made."""
    if not results.systems and not results.references:
        return "No evaluations."
    evaluation = (results.systems or results.references)[0]
    whole, bootstrap = evaluation.whole, evaluation.bootstrap
    left_out = whole.users - whole.users_in_uauc
    return (
        f"{results.dataset}, {results.split}: {whole.rows:,} rows "
        f"({whole.positives / max(whole.rows, 1):.1%} positive) of {whole.users:,} users; UAUC is "
        f"the plain mean over {whole.users_in_uauc:,} users with both labels "
        f"({left_out:,} with one label left out). Intervals: {bootstrap.level:.0%}, "
        f"{bootstrap.draws:,} bootstrap draws of users. ± is the standard deviation over seeds."
    )


def comparisons_note(comparisons: Sequence[Comparison]) -> str:
    """Say how the differences were tested."""
    if not comparisons:
        return "No paired tests."
    bootstrap = comparisons[0].bootstrap
    return (
        f"First minus second on the same rows. Intervals: {bootstrap.level:.0%}, paired, "
        f"{bootstrap.draws:,} bootstrap draws of users; p is two-sided."
    )


def terminal_tables(results: ResultTable) -> list[Table]:
    """Return the tables for a rich console: the results, then the paired tests if any."""
    tables = [_terminal(result_text(results), f"{results.dataset}, {results.split}")]
    if results.comparisons:
        tables.append(_terminal(comparison_text(results.comparisons), "Paired differences"))
    return tables


def markdown(results: ResultTable) -> str:
    """Return the results, and the paired tests where there are any, as Markdown."""
    texts = [result_text(results)]
    if results.comparisons:
        texts.append(comparison_text(results.comparisons))
    return "\n".join(line for text in texts for line in _markdown_lines(text))


def _evaluation_row(evaluation: Evaluation, parts: Sequence[str]) -> tuple[str, ...]:
    whole = evaluation.whole
    row = [_with_seeds(evaluation.name, evaluation.seeds)]
    for metric in (whole.auc, whole.uauc):
        row += [estimate_text(metric), interval_text(metric)]
    for part in parts:
        result: PartEvaluation | None = evaluation.parts.get(part)
        row += [estimate_text(result.auc if result else None)]
        row += [estimate_text(result.uauc if result else None)]
    return tuple(row)


def _comparison_row(comparison: Comparison, part: str, result: PartComparison) -> tuple[str, ...]:
    row = [f"{comparison.first} {_MINUS} {comparison.second}", f"{part} ({result.rows:,})"]
    for difference in (result.auc, result.uauc):
        row += [
            MISSING if difference is None else signed(difference.value),
            interval_text(difference),
            p_value_text(difference),
        ]
    return tuple(row)


def _with_seeds(name: str, seeds: int) -> str:
    return name if seeds == 1 else f"{name} ({seeds} seeds)"


def _part_names(evaluations: Sequence[Evaluation]) -> list[str]:
    return list(dict.fromkeys(part for evaluation in evaluations for part in evaluation.parts))


def _terminal(text: TableText, title: str) -> Table:
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


def _folded(columns: Sequence[str], row: Sequence[str]) -> list[Text]:
    """Put intervals and p-values below their metric, so that a table fits a narrow terminal."""
    cells: list[Text] = []
    for column, value in zip(columns, row, strict=True):
        if column in _UNDER:
            cells[-1].append(f"\n{_UNDER[column]}{value}", style="dim")
        else:
            cells.append(Text(value))
    return cells


def _markdown_lines(text: TableText) -> Iterator[str]:
    yield _markdown_row(text.columns)
    yield _markdown_row(["---"] + ["---:"] * (len(text.columns) - 1))
    yield from (_markdown_row(row) for row in text.systems)
    yield from (_markdown_row([f"*{row[0]}*", *row[1:]]) for row in text.references)
    yield ""
    yield text.note
    yield ""


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
