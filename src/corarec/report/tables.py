"""Results as a table: in the terminal, in Markdown, as JSON; the references always beside."""

from collections.abc import Sequence

from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.metrics import metric_title
from corarec.evaluate.result import (
    Comparison,
    Difference,
    Estimate,
    Evaluation,
    ResultTable,
)
from corarec.evaluate.significance import PValue, corrected_p_values, least_p_value, p_value
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
    metrics = metric_names(evaluations)
    columns = ["System", *(head for one in metrics for head in (metric_title(one), "interval"))]
    columns += [f"{part} {metric_title(one)}" for part in parts for one in metrics]
    return TableText(
        columns=tuple(columns),
        systems=[_evaluation_row(one, parts, metrics) for one in results.systems],
        references=[_evaluation_row(one, parts, metrics) for one in results.references],
        note=results_note(results),
    )


def comparison_text(comparisons: Sequence[Comparison]) -> TableText:
    """Lay out the paired tests: one row per pair of systems and part of the rows."""
    corrected = corrected_p_values(comparisons)
    holm = ("Holm",) if len(comparisons) > 1 else ()
    columns = ["Difference", "Rows"]
    metrics = compared_metrics(comparisons)
    for metric in metrics:
        columns += [metric_title(metric), "interval", "p", *holm]
    rows = []
    for number, comparison in enumerate(comparisons):
        for part, result in comparison.parts.items():
            row = [f"{comparison.first} {MINUS} {comparison.second}", f"{part} ({result.rows:,})"]
            for metric in metrics:
                row += difference_cells(result.metrics.get(metric), comparison.bootstrap)
                family = corrected.get((part, metric), [None] * len(comparisons))
                row += [p_value_text(family[number]) for _ in holm]
            rows.append(tuple(row))
    return TableText(tuple(columns), rows, [], comparisons_note(comparisons))


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


def metric_names(evaluations: Sequence[Evaluation]) -> list[str]:
    """Return the metrics of any of the evaluations."""
    parts = (part for evaluation in evaluations for part in evaluation.parts.values())
    return list(dict.fromkeys(metric for part in parts for metric in part.metrics))


def compared_metrics(comparisons: Sequence[Comparison]) -> list[str]:
    """Return the metrics of any of the paired tests."""
    parts = (part for comparison in comparisons for part in comparison.parts.values())
    return list(dict.fromkeys(metric for part in parts for metric in part.metrics))


def metric_of(evaluation: Evaluation, part: str, metric: str) -> Estimate | None:
    """Return a metric of a part; None where it has no value or was not measured."""
    result = evaluation.parts.get(part)
    return result.metrics.get(metric) if result else None


def _evaluation_row(
    evaluation: Evaluation, parts: Sequence[str], metrics: Sequence[str]
) -> tuple[str, ...]:
    row = [_with_seeds(evaluation.name, evaluation.seeds)]
    for metric in metrics:
        estimate = metric_of(evaluation, "all", metric)
        row += [estimate_text(estimate), interval_text(estimate)]
    row += [estimate_text(metric_of(evaluation, part, one)) for part in parts for one in metrics]
    return tuple(row)


def _with_seeds(name: str, seeds: int) -> str:
    return name if seeds == 1 else f"{name} ({seeds} seeds)"


def _part_names(evaluations: Sequence[Evaluation]) -> list[str]:
    return list(dict.fromkeys(part for evaluation in evaluations for part in evaluation.parts))
