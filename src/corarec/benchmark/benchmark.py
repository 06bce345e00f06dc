"""Running what a suite asks for and is not done."""

from collections.abc import Collection
from pathlib import Path

from corarec.benchmark.jobs import FitJob, RunJob
from corarec.benchmark.plan import Plan, Planner
from corarec.benchmark.suite import Suite
from corarec.benchmark.workers import Failure, Show, Task, Workers
from corarec.workers.environment import visible_devices


def tasks_of(plan: Plan, suite: Suite) -> list[Task]:
    """Return the jobs that are not done; CF models stand before the runs that need them."""
    fits = {
        each.folder: Task(
            FitJob(
                label=f"{each.choice.model}, seed {each.seed}",
                folder=each.folder,
                data=each.data,
                choice=each.choice,
                seed=each.seed,
                knowledge=each.knowledge,
            )
        )
        for each in plan.cf
        if not each.done
    }
    tasks: list[Task] = []
    for run in plan.runs:
        if run.state == "done":
            continue
        tasks += [fits.pop(need) for need in run.needs if need in fits]
        job = RunJob(
            label=run.label,
            folder=run.folder,
            config=run.config,
            split=suite.split,
            metrics=suite.metrics,
        )
        tasks.append(Task(job, run.needs))
    return tasks


def run_suite(
    planner: Planner,
    *,
    only: Collection[str] | None = None,
    workers: int = 1,
    show: Show = lambda label, message: None,
) -> list[Failure]:
    """Train and evaluate every run of a suite that is not done, and return those that failed.

    Parameters
    ----------
    only
        Rows to run, with those that they start from; by default all.
    workers
        Processes at a time; each has its share of the CPUs and, where there are several, a GPU.
    show
        Hears what happens to each job.

    Raises
    ------
    ConfigError
        See `Planner.plan`; nothing was run.
    """
    tasks = tasks_of(planner.plan(only), planner.suite)
    if not tasks:
        return []
    logs: Path = planner.home / "logs"
    return Workers(workers, logs, visible_devices(), show=show).run(tasks)
