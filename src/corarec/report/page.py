"""One self-contained HTML file: no script, no font, no image from elsewhere."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from corarec import __version__
from corarec.evaluate.metrics import larger_is_better, metric_title
from corarec.evaluate.result import Evaluation, RankingTable, ResultTable
from corarec.extras import needs
from corarec.files import atomic_file
from corarec.report.data import ReportData
from corarec.report.figures import (
    Palette,
    reliability_figure,
    roc_figure,
    training_figures,
    user_auc_figure,
)
from corarec.report.forest import REFERENCE, difference_forest, metric_forest
from corarec.report.layout import (
    MISSING,
    FoldedCell,
    TableText,
    estimate_text,
    folded,
    interval_text,
)
from corarec.report.ranking_tables import ranking_texts
from corarec.report.tables import (
    compared_metrics,
    comparisons_note,
    difference_cells,
    has_spread,
    metric_names,
    metric_of,
    results_note,
)

with needs("report"):
    from jinja2 import Environment, PackageLoader, StrictUndefined


@dataclass(frozen=True)
class Cell:
    """A metric in the table."""

    label: str
    """What it is, where the table stands without its head: `warm AUC`."""
    value: str
    interval: str
    best: bool
    """Whether no other system has a better value."""


@dataclass(frozen=True)
class Row:
    """A system in the table."""

    name: str
    series: str
    seeds: int
    cells: list[Cell]


@dataclass(frozen=True)
class TextTable:
    """A table of text: a head, rows of cells with what stands below each, a note."""

    title: str
    columns: list[str]
    rows: list[list[FoldedCell]]
    note: str


@dataclass(frozen=True)
class Headline:
    """One number that the page opens with."""

    label: str
    value: str
    detail: str


def write_report(output_html: Path, data: ReportData) -> None:
    """Write the page; it appears whole or not at all.

    Parameters
    ----------
    output_html
        The file to write; its folder is made.
    data
        What the page shows. Sections without data are left out; all text is escaped.
    """
    with atomic_file(output_html) as temporary:
        temporary.write_text(render_report(data), "utf-8")


def render_report(data: ReportData) -> str:
    """Return the page as text."""
    environment = Environment(
        loader=PackageLoader("corarec.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    results = data.results
    palette = Palette([system.name for system in results.systems])
    parts = _part_names(results)
    metrics = metric_names([*results.systems, *results.references])
    columns = [(part, metric) for part in parts for metric in metrics]
    forests = [
        metric_forest(metric, results.systems, results.references, palette) for metric in metrics
    ]
    score_figures = []
    if data.scores:
        score_figures = [
            roc_figure(data.scores, palette),
            reliability_figure(data.scores, palette),
            user_auc_figure(data.scores, palette),
        ]
    return environment.get_template("page.html.jinja").render(
        data=data,
        css=environment.get_template("page.css").render(),
        version=__version__,
        headlines=_headlines(results),
        forests=[forest for forest in forests if forest],
        differences=[
            forest
            for metric in compared_metrics(results.comparisons)
            if (forest := difference_forest(metric, results.comparisons))
        ],
        parts=parts,
        metrics=[metric_title(metric) for metric in metrics],
        part_rows=_part_rows(results, parts),
        systems=_rows(results.systems, columns, palette),
        references=_rows(results.references, columns, None),
        note=results_note(results),
        spread=has_spread(results),
        difference_note=comparisons_note(results.comparisons),
        rankings=_rankings(data.ranking),
        training=training_figures(data.training, palette),
        score_figures=[figure for figure in score_figures if figure],
        config=yaml.safe_dump(data.config, sort_keys=False, allow_unicode=True),
    )


def _headlines(results: ResultTable) -> list[Headline]:
    """Open with the first system and the first paired test: what the run was made for."""
    headlines = []
    if results.systems:
        system = results.systems[0]
        for metric, estimate in system.whole.metrics.items():
            detail = f"{system.name}, {system.bootstrap.level:.0%} interval "
            headlines.append(
                Headline(
                    metric_title(metric), estimate_text(estimate), detail + interval_text(estimate)
                )
            )
    if results.comparisons:
        comparison = results.comparisons[0]
        for metric, difference in list(comparison.parts["all"].metrics.items())[:1]:
            if difference is None:
                continue
            value, interval, p_value = difference_cells(difference, comparison.bootstrap)
            detail = f"paired interval {interval}, p {p_value}"
            label = f"{metric_title(metric)} against {comparison.second}"
            headlines.append(Headline(label, value, detail))
    if results.systems:
        whole = results.systems[0].whole
        headlines.append(
            Headline("Rows", f"{whole.rows:,}", f"of {whole.users:,} users, {results.split} split")
        )
    return headlines


def _rankings(ranking: RankingTable | None) -> list[TextTable]:
    if ranking is None:
        return []
    titles = ("Metrics", "Paired differences")
    return [
        _text_table(title, text)
        for title, text in zip(titles, ranking_texts(ranking), strict=False)
    ]


def _text_table(title: str, text: TableText) -> TextTable:
    rows = [folded(text.columns, row) for row in [*text.systems, *text.references]]
    columns = [cell.column for cell in folded(text.columns, text.columns)]
    return TextTable(title, columns, rows, text.note)


def _part_names(results: ResultTable) -> list[str]:
    evaluations = [*results.systems, *results.references]
    return list(dict.fromkeys(part for evaluation in evaluations for part in evaluation.parts))


def _part_rows(results: ResultTable, parts: list[str]) -> list[str]:
    """Say how many rows each part has, as the first evaluation counts them."""
    evaluations = [*results.systems, *results.references]
    return [
        f"{evaluations[0].parts[part].rows:,} rows" if part in evaluations[0].parts else MISSING
        for part in parts
    ]


def _rows(
    evaluations: list[Evaluation], columns: list[tuple[str, str]], palette: Palette | None
) -> list[Row]:
    compared = palette is not None and len(evaluations) > 1
    best = {column: _best(evaluations, column) for column in columns} if compared else {}
    return [
        Row(
            name=evaluation.name,
            series=palette(evaluation.name) if palette else REFERENCE,
            seeds=evaluation.seeds,
            cells=[_cell(evaluation, column, best.get(column)) for column in columns],
        )
        for evaluation in evaluations
    ]


def _cell(evaluation: Evaluation, column: tuple[str, str], best: float | None) -> Cell:
    part, metric = column
    estimate = metric_of(evaluation, part, metric)
    return Cell(
        label=f"{part} {metric_title(metric)}",
        value=estimate_text(estimate),
        interval=interval_text(estimate),
        best=estimate is not None and estimate.value == best,
    )


def _best(evaluations: list[Evaluation], column: tuple[str, str]) -> float | None:
    part, metric = column
    estimates = [metric_of(evaluation, part, metric) for evaluation in evaluations]
    values = [estimate.value for estimate in estimates if estimate is not None]
    return (max if larger_is_better(metric) else min)(values, default=None)
