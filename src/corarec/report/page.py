"""One self-contained HTML file, no script or font or image from elsewhere; its plots beside it."""

from dataclasses import dataclass
from pathlib import Path

import yaml

from corarec import __version__
from corarec.errors import ConfigError
from corarec.evaluate.metrics import larger_is_better, metric_title
from corarec.evaluate.result import Evaluation, RankingTable, ResultTable
from corarec.extras import needs
from corarec.files import atomic_file
from corarec.ownership import check_replaceable
from corarec.report.data import ReportData
from corarec.report.drawn import Drawn, draw
from corarec.report.figures import Palette
from corarec.report.forest import REFERENCE
from corarec.report.layout import (
    MISSING,
    FoldedCell,
    TableText,
    estimate_text,
    folded,
    interval_text,
)
from corarec.report.plots import FOLDER, KIND, write_plots
from corarec.report.ranking_tables import ranking_texts, ranking_titles
from corarec.report.tables import (
    comparisons_note,
    difference_cells,
    has_spread,
    metric_names,
    metric_of,
    results_note,
)
from corarec.text import printable_lines

with needs("report"):
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup


PAGE = "report.html"


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


def check_place(folder: Path) -> Path:
    """Return where the page of a folder goes, before any work is done for it.

    Raises
    ------
    ConfigError
        The page is a link to something else, or what stands where its plots go is not corarec's.
    """
    page = folder / PAGE
    if page.is_symlink():
        raise ConfigError(
            f"{page} is a link, and what it leads to may be yours. Remove the link to get a page."
        )
    if (folder / FOLDER).is_symlink():
        raise ConfigError(
            f"{folder / FOLDER} is a link, and what it leads to may be yours. Remove the link to "
            "get plots."
        )
    check_replaceable(folder / FOLDER, KIND)
    return page


def write_report(folder: Path, data: ReportData) -> Path:
    """Write the page `report.html` and its plots in `report/`; return where the page is.

    Each of the two appears whole or not at all.

    Parameters
    ----------
    folder
        Where they go; it is made.
    data
        What the page shows. Sections without data are left out; all text is escaped.

    Raises
    ------
    ConfigError
        See `check_place`.
    """
    page = check_place(folder)
    palette = Palette([system.name for system in data.results.systems])
    drawn = draw(data, palette)
    text = render(data, drawn, palette)
    write_plots(folder / FOLDER, drawn.figures)
    with atomic_file(page) as temporary:
        temporary.write_text(text, "utf-8")
    return page


def render_report(data: ReportData) -> str:
    """Return the page as text."""
    palette = Palette([system.name for system in data.results.systems])
    return render(data, draw(data, palette), palette)


def render(data: ReportData, drawn: Drawn, palette: Palette) -> str:
    """Return the page as text, its figures being laid out."""
    environment = Environment(
        loader=PackageLoader("corarec.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    results = data.results
    parts = _part_names(results)
    metrics = metric_names([*results.systems, *results.references])
    columns = [(part, metric) for part in parts for metric in metrics]
    return environment.get_template("page.html.jinja").render(
        data=data,
        drawn=drawn,
        css=environment.get_template("page.css").render(),
        version=__version__,
        headlines=_best_headlines(results) if data.of_suite else _headlines(results),
        parts=parts,
        metrics=[metric_title(metric) for metric in metrics],
        part_rows=_part_rows(results, parts),
        systems=_rows(results.systems, columns, palette),
        references=_rows(results.references, columns, None),
        note=results_note(results),
        spread=has_spread(results),
        difference_note=comparisons_note(results.comparisons),
        rankings=_rankings(data.ranking),
        tables=[
            _text_table(table.title, TableText(table.columns, table.rows, [], table.note))
            for table in data.tables
        ],
        plots=FOLDER,
        config=yaml.safe_dump(data.config, sort_keys=False, allow_unicode=True),
    )


def _shown(value: object) -> object:
    """Return what stands on the page: text without what would turn or hide other text."""
    plain = isinstance(value, str) and not isinstance(value, Markup)
    return printable_lines(str(value)) if plain else value


def _best_headlines(results: ResultTable) -> list[Headline]:
    """Open with the best system by each metric."""
    headlines = []
    for metric in metric_names(results.systems):
        best = _best(results.systems, ("all", metric))
        for one in results.systems:
            estimate = metric_of(one, "all", metric)
            if estimate is not None and estimate.value == best:
                value = estimate_text(estimate)
                detail = f"{one.name}, interval {interval_text(estimate)}"
                headlines.append(Headline(f"Best {metric_title(metric)}", value, detail))
                break
    return [*headlines, *_rows_headline(results)]


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
    return [*headlines, *_rows_headline(results)]


def _rows_headline(results: ResultTable) -> list[Headline]:
    if not results.systems:
        return []
    whole = results.systems[0].whole
    detail = f"of {whole.users:,} users, {results.split} split"
    return [Headline("Rows", f"{whole.rows:,}", detail)]


def _rankings(ranking: RankingTable | None) -> list[TextTable]:
    if ranking is None:
        return []
    titles = ranking_titles(ranking)
    return [
        _text_table(title, text) for title, text in zip(titles, ranking_texts(ranking), strict=True)
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
