"""Plans of suites, and their work done in this process."""

from pathlib import Path
from typing import Any

from corarec.benchmark.benchmark import tasks_of
from corarec.benchmark.plan import Planner
from corarec.benchmark.suite_reading import load_suite


def planner(path: Path, runs: Path) -> Planner:
    return Planner(load_suite(path), runs, path.stem)


def states(path: Path, runs: Path, **options: Any) -> dict[str, str]:
    plan = planner(path, runs).plan(**options)
    return {run.folder.name: run.state for run in plan.runs}


def do_all(path: Path, runs: Path) -> None:
    """Do all that is left, in this process."""
    made = planner(path, runs)
    for task in tasks_of(made.plan(), made.suite):
        task.job.do(lambda record: None)
