"""The page about a suite, of nothing but the files that `corarec benchmark` wrote."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from corarec.benchmark.results import read_record
from corarec.benchmark.suite_result import SuiteResult
from corarec.errors import ArtifactError
from corarec.files import read_json
from corarec.provenance import made_by
from corarec.report.data import CostPoint, Fact, ReportData, SuiteViews, TextTable
from corarec.report.layout import TableText
from corarec.report.page import check_place, write_report
from corarec.report.suite_tables import cost_text, published_text, suite_title, work_done
from corarec.report.tables import metric_of
from corarec.runs.layout import CONFIG
from corarec.suite_views import VIEWS

RESULTS = "results.json"


def holds_suite(folder: Path) -> bool:
    """Whether a folder holds the results of a suite, and is no run."""
    return (folder / RESULTS).is_file() and not (folder / CONFIG).exists()


def report_suite(folder: Path) -> Path:
    """Write `report.html` and its plots beside the tables of a suite; return where the page is.

    Raises
    ------
    ArtifactError
        The folder holds other results, or a file of it is damaged.
    ConfigError
        Something that corarec did not write stands where the page or its plots go.
    """
    check_place(folder)
    path = folder / RESULTS
    content = read_json(path)
    if not isinstance(content, dict) or "suite" not in content:
        raise ArtifactError(
            f"{path} holds no results of a suite. Give the folder that `corarec benchmark` wrote "
            "its tables to, or that of a run."
        )
    result = read_record(path, SuiteResult)
    there = (folder / VIEWS).exists()
    views = read_record(folder / VIEWS, SuiteViews) if there else SuiteViews()
    missing = list(result.missing)
    if not there:
        missing.append(
            f"There is no {VIEWS} beside {RESULTS}, so there are no plots of scores and training: "
            "write the tables again with `corarec benchmark SUITE --table-only`."
        )
    published = published_text(result)
    return write_report(
        folder,
        ReportData(
            title=suite_title(result),
            subtitle=result.notes.strip(),
            facts=_facts(result, missing),
            results=result,
            training=views.training,
            scores=views.scores,
            user_differences=views.differences,
            costs=_costs(result),
            tables=[
                *([_table("Beside what is published", published)] if published else []),
                _table("What the runs took", cost_text(result)),
            ],
            of_suite=True,
        ),
    )


def _facts(result: SuiteResult, missing: Sequence[str]) -> list[Fact]:
    facts = {
        "Suite": result.suite,
        "Data": f"{result.dataset}, {result.split} split",
        "Work": work_done(result),
        "Tables": made_by(result.model_dump()),
        "Plots": "Scores are those of the first seed of each row; differences between users are "
        "means over seeds; training has a line for every run.",
        "Not there": " ".join(missing),
    }
    return [Fact(label=label, value=value) for label, value in facts.items() if value]


def _costs(result: SuiteResult) -> list[CostPoint]:
    points = []
    for one in result.systems:
        row = result.rows.get(one.name)
        estimate = metric_of(one, "all", result.metrics[0])
        seconds: Sequence[float] = [
            run.seconds for run in (row.runs if row else ()) if run.seconds is not None
        ]
        if estimate is None or not sum(seconds) > 0:
            continue
        points.append(
            CostPoint(
                name=one.name,
                minutes=fmean(seconds) / 60,
                value=estimate.value,
                low=estimate.low,
                high=estimate.high,
                seeds=len(seconds),
            )
        )
    return points


def _table(title: str, text: TableText) -> TextTable:
    rows = [*text.systems, *text.references]
    return TextTable(title=title, columns=text.columns, rows=rows, note=text.note)
