"""The command that runs a suite and writes its tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from corarec.cli.options import MOST_WORKERS, Draws, FormOption, bootstrap
from corarec.cli.output import console, log, print_json, record_parts, say
from corarec.errors import ConfigError, TrainingError
from corarec.text import printable_lines

if TYPE_CHECKING:
    from corarec.benchmark.plan import Plan


def benchmark(
    suite: Annotated[Path, typer.Argument(help="A suite (YAML).")],
    runs: Annotated[
        Path, typer.Option(help="Runs go to RUNS/SUITE/SYSTEM-SEED, shared CF models to cf.")
    ] = Path("runs"),
    output: Annotated[
        Path | None, typer.Option(help="Folder for the tables. By default RUNS/SUITE.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=MOST_WORKERS, help="Processes; each has its share of cores.")
    ] = 1,
    only: Annotated[
        list[str] | None, typer.Option(help="Run this row only, with what it needs; repeat.")
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="In place of those of the suite.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is done and what would be run; run nothing.")
    ] = False,
    table_only: Annotated[
        bool, typer.Option("--table-only", help="Write the tables of the runs that there are.")
    ] = False,
    draws: Draws = 1000,
    form: FormOption = "table",
) -> None:
    """Run recipes with several seeds, resume and skip what is done, and write one results table."""
    from corarec.benchmark.benchmark import run_suite
    from corarec.benchmark.plan import Planner
    from corarec.benchmark.suite_files import write_suite_data
    from corarec.benchmark.suite_reading import load_suite
    from corarec.benchmark.suite_result import suite_result, training_pairs
    from corarec.report.suite_tables import suite_markdown, suite_tables, write_suite_tables
    from corarec.suite_views import write_suite_views

    if dry_run and table_only:
        raise ConfigError("--dry-run and --table-only exclude each other; give one of them.")
    planner = Planner(load_suite(suite, numbers(seeds)), runs, suite.stem)
    if dry_run:
        _show_plan(planner.plan(only), form)
        return
    failures = []
    if table_only:
        planner.plan(only)  # a run of another recipe must not stand in the table
    else:
        failures = run_suite(planner, only=only, workers=workers, show=_show)
    if not failures or planner.has_results():
        result = suite_result(planner, bootstrap(draws), training_pairs(planner))
        folder = output or planner.home
        written = [
            *write_suite_data(result, folder),
            *write_suite_tables(result, folder),
            *write_suite_views(planner, result, folder),
        ]
        if form == "json":
            print_json(result.model_dump(mode="json"))
        elif form == "markdown":
            print(printable_lines(suite_markdown(result)))
        else:
            for table in suite_tables(result):
                console.print(table)
        for each in result.missing:
            say(each, log)
        say(f"Written to {', '.join(map(str, written))}", log)
    if failures:
        told = "\n".join(f"  {each.label}: {each.reason}" for each in failures)
        raise TrainingError(
            f"{len(failures)} of the jobs failed:\n{told}\n"
            "The same command goes on with them when the cause is removed."
        )


def numbers(text: str | None) -> list[int] | None:
    """Return the seeds of `0,1,2`; None of None.

    Raises
    ------
    ConfigError
        It is no list of whole numbers.
    """
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdecimal() for part in parts):
        raise ConfigError(f"--seeds is {text!r}; wanted are whole numbers such as 0,1,2.")
    return [int(part) for part in parts]


def _show(label: str, message: dict[str, Any]) -> None:
    """Print what happens to a job as one line."""
    if not message:
        say(f"{label}: begun", log)
    elif "ended" in message:
        say(f"{label}: {message['ended'] or 'done'}", log, style="red" if message["ended"] else "")
    elif "evaluating" in message:
        say(f"{label}: evaluating on {message['evaluating']}", log)
    elif any(name.startswith("valid_") for name in message):
        say(f"{label}: {'  '.join(record_parts(message))}", log)


def _show_plan(plan: "Plan", form: str) -> None:
    if form == "json":
        print_json(
            {
                "runs": [
                    {"row": r.row, "seed": r.seed, "folder": str(r.folder), "state": r.state}
                    for r in plan.runs
                ],
                "cf": [{"folder": str(c.folder), "done": c.done} for c in plan.cf],
            }
        )
        return
    for cf in plan.cf:
        if not cf.done:
            say(f"to fit       {cf.folder}")
    for run in plan.runs:
        say(f"{run.state:<12} {run.folder}  ({run.label})")
    left = sum(run.state != "done" for run in plan.runs)
    say(f"{len(plan.runs) - left} of {len(plan.runs)} runs are done.")
