"""Results as a table: in the terminal, in Markdown, as JSON; the references always beside."""

from collections.abc import Sequence

from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.result import (
    Comparison,
    Difference,
    Evaluation,
    PartComparison,
    PartEvaluation,
    ResultTable,
)
from corarec.evaluate.significance import PValue, holm, least_p_value, p_value
from corarec.evaluate.system import METRICS
from corarec.report.layout import (
    MINUS,
    MISSING,
    TableText,
    estimate_text,
    interval_text,
    markdown_table,
    p_value_text,
    signed,
)
from corarec.report.terminal import TerminalTable


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
    corrected = corrected_p_values(comparisons)
    holm = ("Holm",) if len(comparisons) > 1 else ()
    columns = ["Difference", "Rows"]
    for metric in METRICS:
        columns += [metric.upper(), "interval", "p", *holm]
    rows = []
    for number, comparison in enumerate(comparisons):
        for part, result in comparison.parts.items():
            row = [f"{comparison.first} {MINUS} {comparison.second}", f"{part} ({result.rows:,})"]
            for metric in METRICS:
                row += difference_cells(getattr(result, metric), comparison.bootstrap)
                row += [p_value_text(corrected[part, metric][number]) for _ in holm]
            rows.append(tuple(row))
    return TableText(tuple(columns), rows, [], comparisons_note(comparisons))


def corrected_p_values(
    comparisons: Sequence[Comparison],
) -> dict[tuple[str, str], list[PValue | None]]:
    """Correct the p-values by Holm, a family being the tests of one metric on one part.

    Returns
    -------
    (part, metric) -> one p-value per comparison, None where it has no such test.
    """
    parts = dict.fromkeys(part for comparison in comparisons for part in comparison.parts)
    return {
        (part, metric): holm(
            [p_value(_difference(one, part, metric), one.bootstrap) for one in comparisons]
        )
        for part in parts
        for metric in METRICS
    }


def difference_cells(difference: Difference | None, bootstrap: BootstrapConfig) -> tuple[str, ...]:
    """Return a difference, its interval and its own p-value as text."""
    value = MISSING if difference is None else signed(difference.value)
    return value, interval_text(difference), p_value_text(p_value(difference, bootstrap))


def tests_note(bootstrap: BootstrapConfig, tests: int, family: str) -> str:
    """Say how differences were tested, how far p reaches and how it was corrected.

    Parameters
    ----------
    tests
        How many tests stand in one family.
    family
        What the tests of one family have in common.
    """
    least = least_p_value(bootstrap.draws)
    note = (
        f"Intervals: {bootstrap.level:.0%}, paired, {bootstrap.draws:,} bootstrap draws of users; "
        f"p is two-sided and cannot be lower than {p_value_text(PValue(least))} with so many draws."
    )
    if tests < 2:
        return note
    note += f" Holm: p corrected for the {tests} tests of {family}."
    if least * tests > 1 - bootstrap.level:
        note += " For so many tests these draws are too few to tell anything: raise their number."
    return note


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
        f"{bootstrap.draws:,} bootstrap draws of users."
        f"{' ± is the standard deviation over seeds.' if has_spread(results) else ''}"
    )


def has_spread(results: ResultTable) -> bool:
    """Whether a metric of the table has a spread over seeds."""
    evaluations = [*results.systems, *results.references]
    return any(evaluation.seeds > 1 for evaluation in evaluations)


def comparisons_note(comparisons: Sequence[Comparison]) -> str:
    """Say how the differences were tested."""
    if not comparisons:
        return "No paired tests."
    tested = tests_note(comparisons[0].bootstrap, len(comparisons), "one metric on one part")
    return f"First minus second on the same rows. {tested}"


def terminal_tables(results: ResultTable) -> list[TerminalTable]:
    """Return the tables for a rich console: the results, then the paired tests if any."""
    tables = [TerminalTable(result_text(results), f"{results.dataset}, {results.split}")]
    if results.comparisons:
        tables.append(TerminalTable(comparison_text(results.comparisons), "Paired differences"))
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


def _difference(comparison: Comparison, part: str, metric: str) -> Difference | None:
    result: PartComparison | None = comparison.parts.get(part)
    return getattr(result, metric) if result else None


def _with_seeds(name: str, seeds: int) -> str:
    return name if seeds == 1 else f"{name} ({seeds} seeds)"


def _part_names(evaluations: Sequence[Evaluation]) -> list[str]:
    return list(dict.fromkeys(part for evaluation in evaluations for part in evaluation.parts))
