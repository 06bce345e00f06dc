"""Rankings as a table: in the terminal and in Markdown."""

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
from corarec.evaluate.ranking.result import RankingComparison, RankingEvaluation, RankingTable

METRIC_NAMES = {"recall": "Recall", "capped_recall": "capped Recall", "ndcg": "NDCG", "hr": "HR"}


def ranking_tables(results: RankingTable) -> list[Table]:
    """Return the tables for a rich console: the metrics, then the paired tests if any."""
    texts = _texts(results)
    titles = (f"{results.dataset}, {results.split}: whole catalogue", "Paired differences")
    return [terminal_table(text, title) for text, title in zip(texts, titles, strict=False)]


def ranking_markdown(results: RankingTable) -> str:
    """Return the metrics, and the paired tests where there are any, as Markdown."""
    return "\n".join(map(markdown_table, _texts(results)))


def _texts(results: RankingTable) -> list[TableText]:
    """Lay out one row per metric: there are more metrics than systems."""
    systems = [*results.systems, *results.references]
    rows = [_row(metric, systems) for metric in results.systems[0].metrics]
    columns = ("Metric", *(part for system in systems for part in (system.name, "interval")))
    texts = [TableText(columns, rows, [], _note(results))]
    if results.comparisons:
        pairs = results.comparisons
        names = [f"{pair.first} {MINUS} {pair.second}" for pair in pairs]
        columns = ("Metric", *(part for name in names for part in (name, "interval", "p")))
        rows = [_difference_row(metric, pairs) for metric in results.systems[0].metrics]
        note = f"On the same users. Intervals: {pairs[0].bootstrap.level:.0%}, paired."
        texts.append(TableText(columns, rows, [], note))
    return texts


def _title(metric: str) -> str:
    name, at, cutoff = metric.partition("@")
    return f"{METRIC_NAMES.get(name, name.upper())}{at}{cutoff}"


def _row(metric: str, systems: Sequence[RankingEvaluation]) -> tuple[str, ...]:
    row = [_title(metric)]
    for system in systems:
        row += [estimate_text(system.metrics[metric]), interval_text(system.metrics[metric])]
    return tuple(row)


def _difference_row(metric: str, pairs: Sequence[RankingComparison]) -> tuple[str, ...]:
    row = [_title(metric)]
    for pair in pairs:
        result = pair.metrics.get(metric)
        value = MISSING if result is None else signed(result.value)
        row += [value, interval_text(result), p_value_text(result)]
    return tuple(row)


def _note(results: RankingTable) -> str:
    system = results.systems[0]
    return (
        f"Means over {system.users:,} users, each with {results.items:,} items less those seen "
        f"before; {system.users_left_out:,} users like nothing new in this part and are left out, "
        f"{system.relevant_seen:,} liked items were seen before. The first {results.candidates:,} "
        "items of the CF model are put in a new order, the others stay behind them. Intervals: "
        f"{system.bootstrap.level:.0%}, {system.bootstrap.draws:,} bootstrap draws of users."
    )
