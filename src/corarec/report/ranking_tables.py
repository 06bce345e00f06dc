"""Rankings as a table: in the terminal and in Markdown."""

from collections.abc import Sequence

from corarec.evaluate.metrics import metric_title
from corarec.evaluate.result import (
    RankingComparison,
    RankingEvaluation,
    RankingPart,
    RankingTable,
)
from corarec.evaluate.significance import PValue, holm, p_value
from corarec.report.layout import (
    MINUS,
    TableText,
    estimate_text,
    interval_text,
    markdown_table,
    p_value_text,
    signed,
)
from corarec.report.tables import difference_cells, tests_note
from corarec.report.terminal import TerminalTable


def ranking_tables(results: RankingTable) -> list[TerminalTable]:
    """Return the tables for a rich console: the metrics, then the paired tests if any."""
    whole, *others = ranking_titles(results)
    titles = [f"{results.dataset}, {results.split}: {whole.lower()}", *others]
    texts = ranking_texts(results)
    return [TerminalTable(text, title) for text, title in zip(texts, titles, strict=True)]


def ranking_titles(results: RankingTable) -> list[str]:
    """Return what each of `ranking_texts` is called."""
    tests = ["Paired differences"] if results.comparisons else []
    return ["Whole catalogue", *tests, *(f"Users {part}" for part in results.parts)]


def ranking_markdown(results: RankingTable) -> str:
    """Return the metrics, and the paired tests where there are any, as Markdown."""
    return "\n".join(map(markdown_table, ranking_texts(results)))


def ranking_texts(results: RankingTable) -> list[TableText]:
    """Lay out one row per metric: there are more metrics than systems."""
    texts = [_text(results, _note(results))]
    if results.comparisons:
        texts.append(_comparison_text(results))
    for name, part in results.parts.items():
        lead = part.systems[0]
        worst = min(part.comparisons, key=_lead_in_ndcg, default=None)
        note = f"The {lead.users:,} users {name} alone."
        if worst is not None and (metric := _first_ndcg(worst)) is not None:
            test = worst.metrics[metric]
            note += (
                f" In {metric_title(metric)} {worst.first} {MINUS} {worst.second} is "
                f"{signed(test.value)} {interval_text(test)}, the smallest of its leads."
            )
        texts.append(_text(part, note))
    return texts


def _text(results: RankingTable | RankingPart, note: str) -> TableText:
    systems = [*results.systems, *results.references]
    rows = [_row(metric, systems) for metric in systems[0].metrics]
    for metric in systems[0].coverage:
        values = (f"{system.coverage[metric]:.3f}" for system in systems)
        cells = (cell for value in values for cell in (value, ""))
        rows.append((metric_title(metric), *cells))
    columns = ("Metric", *(head for system in systems for head in (system.name, "interval")))
    return TableText(columns, rows, [], note)


def _first_ndcg(pair: RankingComparison) -> str | None:
    return next((name for name in pair.metrics if name.startswith("ndcg@")), None)


def _lead_in_ndcg(pair: RankingComparison) -> float:
    metric = _first_ndcg(pair)
    return 0.0 if metric is None else pair.metrics[metric].value


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
