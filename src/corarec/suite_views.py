"""What the plots of a suite need of its runs, kept beside its tables: no run is needed later."""

from pathlib import Path

from corarec.benchmark.plan import Planner
from corarec.benchmark.suite_result import SuiteResult, SuiteTables
from corarec.files import write_json
from corarec.report.data import SuiteViews, TrainingCurve
from corarec.report.views import user_differences, view_scores
from corarec.train.metrics import read_metrics

VIEWS = "views.json"


def suite_views(planner: Planner, result: SuiteResult) -> SuiteViews:
    """Reduce the scores and logs of a suite's runs to what the figures draw."""
    tables = SuiteTables(planner)
    scores = {one.name: tables.of(one.name) for one in result.systems}
    return SuiteViews(
        scores=[view_scores(found[0], name) for name, found in scores.items() if found],
        differences=[
            user_differences(tables.of(one.first), tables.of(one.second), (one.first, one.second))
            for one in result.comparisons
        ],
        training=[
            TrainingCurve.from_records(name, read_metrics(folder))
            for name, folders in tables.folders.items()
            for folder in folders.values()
        ],
    )


def write_suite_views(planner: Planner, result: SuiteResult, folder: Path) -> list[Path]:
    """Write `views.json` beside the tables of a suite; return where it is."""
    write_json(folder / VIEWS, suite_views(planner, result).model_dump(mode="json"))
    return [folder / VIEWS]
