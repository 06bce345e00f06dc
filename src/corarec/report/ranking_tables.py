"""Rankings as a table: in the terminal and in Markdown."""

from collections.abc import Sequence

from corarec.evaluate.metrics import metric_title
from corarec.evaluate.result import RankingComparison, RankingEvaluation, RankingTable
from corarec.evaluate.significance import PValue, holm, p_value
from corarec.report.layout import (
    MINUS,
    TableText,
    estimate_text,
    interval_text,
    markdown_table,
    p_value_text,
)
from corarec.report.tables import difference_cells, tests_note
from corarec.report.terminal import TerminalTable


def ranking_tables(results: RankingTable) -> list[TerminalTable]:
    """Return the tables for a rich console: the metrics, then the paired tests if any."""
    texts = ranking_texts(results)
    titles = (f"{results.dataset}, {results.split}: whole catalogue", "Paired differences")
    return [TerminalTable(text, title) for text, title in zip(texts, titles, strict=False)]


def ranking_markdown(results: RankingTable) -> str:
    """Return the metrics, and the paired tests where there are any, as Markdown."""
    return "\n".join(map(markdown_table, ranking_texts(results)))


def ranking_texts(results: RankingTable) -> list[TableText]:
    """Lay out one row per metric: there are more metrics than systems."""
    systems = [*results.systems, *results.references]
    rows = [_row(metric, systems) for metric in results.systems[0].metrics]
    columns = ("Metric", *(head for system in systems for head in (system.name, "interval")))
    texts = [TableText(columns, rows, [], _note(results))]
    if results.comparisons:
        texts.append(_comparison_text(results))
    return texts


def _comparison_text(results: RankingTable) -> TableText:
    pairs, metrics = results.comparisons, list(results.systems[0].metrics)
    holm = ("Holm",) if len(pairs) > 1 else ()
    columns = ["Metric"]
    for pair in pairs:
        columns += [f"{pair.first} {MINUS} {pair.second}", "interval", "p", *holm]
    rows = []
    for metric in metrics:
        row = [metric_title(metric)]
        corrected = corrected_p_values(pairs, metric)
        for pair, one in zip(pairs, corrected, strict=True):
            row += difference_cells(pair.metrics.get(metric), pair.bootstrap)
            row += [p_value_text(one) for _ in holm]
        rows.append(tuple(row))
    note = tests_note(pairs[0].bootstrap, len(pairs), "one metric")
    return TableText(tuple(columns), rows, [], f"On the same users. {note}")


def corrected_p_values(pairs: Sequence[RankingComparison], metric: str) -> list[PValue | None]:
    """Correct the p-values of one metric by Holm: one per comparison."""
    return holm([p_value(pair.metrics.get(metric), pair.bootstrap) for pair in pairs])


def _row(metric: str, systems: Sequence[RankingEvaluation]) -> tuple[str, ...]:
    row = [metric_title(metric)]
    for system in systems:
        row += [estimate_text(system.metrics[metric]), interval_text(system.metrics[metric])]
    return tuple(row)


def _note(results: RankingTable) -> str:
    system = results.systems[0]
    return (
        f"Means over {system.users:,} users, each with {results.items:,} items less those seen "
        f"before; {system.users_left_out:,} users like nothing new in this split and are left out, "
        f"{system.relevant_seen:,} liked items were seen before. The first {results.candidates:,} "
        "items of the CF model are put in a new order, the others stay behind them. Intervals: "
        f"{system.bootstrap.level:.0%}, {system.bootstrap.draws:,} bootstrap draws of users."
    )
