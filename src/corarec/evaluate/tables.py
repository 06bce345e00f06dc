"""Results as a table: in the terminal, in Markdown, as JSON; the references always beside."""

from collections.abc import Sequence

from rich.table import Table

from corarec.evaluate.layout import (
    MINUS,
    MISSING,
    TableText,
    estimate_text,
    interval_text,
    markdown_table,
    p_value_text,
    signed,
    terminal_table,
)
from corarec.evaluate.result import (
    Comparison,
    Evaluation,
    PartComparison,
    PartEvaluation,
    ResultTable,
)


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
    tables = [terminal_table(result_text(results), f"{results.dataset}, {results.split}")]
    if results.comparisons:
        tables.append(terminal_table(comparison_text(results.comparisons), "Paired differences"))
    return tables


def markdown(results: ResultTable) -> str:
    """Return the results, and the paired tests where there are any, as Markdown."""
    texts = [result_text(results)]
    if results.comparisons:
        texts.append(comparison_text(results.comparisons))
    return "\n".join(map(markdown_table, texts))


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
    row = [f"{comparison.first} {MINUS} {comparison.second}", f"{part} ({result.rows:,})"]
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
