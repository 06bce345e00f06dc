"""The command that tunes a recipe."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from corarec.cli.options import Overrides, Seed, TableOrJson
from corarec.cli.output import console, heading, log, print_json, say, training_progress
from corarec.errors import TrainingError
from corarec.progress import watch_fits
from corarec.text import printable

if TYPE_CHECKING:
    from corarec.recipe import RunConfig
    from corarec.tune import Outcome, Trial


def tune(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML).")],
    space: Annotated[
        Path,
        typer.Option(
            help="YAML: recipe key -> a list of values, or {low: ..., high: ..., log: true}."
        ),
    ],
    trials: Annotated[int, typer.Option(min=1, help="Trainings in all: the budget.")],
    output: Annotated[Path, typer.Option(help="Folder; a tuning that stopped there goes on.")],
    metric: Annotated[
        str | None,
        typer.Option(help="What is best on validation, such as uauc. By default the system's own."),
    ] = None,
    sampler: Annotated[
        Literal["tpe", "random", "grid"], typer.Option(help="How values are drawn.")
    ] = "tpe",
    prune: Annotated[
        bool, typer.Option("--prune", help="Stop trials whose validation is behind the others'.")
    ] = False,
    seed: Seed = 0,
    override: Overrides = None,
    form: TableOrJson = "table",
) -> None:
    """Train a recipe with several values of its keys, and keep those best on validation."""
    from corarec.tune import TuneConfig, load_space
    from corarec.tune import tune as run_tuning

    config = TuneConfig.parse(
        {"trials": trials, "metric": metric, "sampler": sampler, "prune": prune, "seed": seed},
        "The command",
    )
    outcome = run_tuning(
        load_space(space, recipe, override or ()),
        output,
        config,
        watch=_watch,
        say=lambda text: say(text, log),
        watch_fit=watch_fits(log),
    )
    if form == "json":
        print_json(outcome.to_dict())
    else:
        _print(outcome)
    if running := outcome.count("running"):
        say(f"Other processes are at work on {running} of the trials.", log)
    elif outcome.best is None:
        reasons = [trial.reason for trial in outcome.trials if trial.reason]
        raise TrainingError(
            f"None of the {len(outcome.trials)} trials was completed; the last: {reasons[-1]} "
            "Change the search space, and tune into another folder."
        )


@contextmanager
def _watch(trial: "Trial", config: "RunConfig") -> Iterator[Callable[[dict[str, Any]], None]]:
    heading(f"trial {trial.number}: {_values(trial)}", log)
    steps = {phase.name: phase.train.steps for phase in config.phases}
    with training_progress(steps, log, every_record=True) as show:
        yield show


def _print(outcome: "Outcome") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    keys = list(outcome.trials[0].values) if outcome.trials else []
    for name in ("trial", "state", outcome.metric, "step", *keys):
        table.add_column(Text(printable(name)), overflow="fold")
    for trial in outcome.trials:
        value = "" if trial.value is None else f"{trial.value:.4f}"
        step = "" if trial.step is None else str(trial.step)
        values = (printable(_short(each)) for each in trial.values.values())
        cells = (str(trial.number), trial.state, value, step, *values)
        best = trial is outcome.best
        table.add_row(*map(Text, cells), style="bold" if best else "")
    console.print(table)
    for trial in outcome.trials:
        if trial.reason:
            say(f"Trial {trial.number} {trial.state}: {printable(trial.reason, 300)}")
    if (best_trial := outcome.best) is None:
        return
    recipe = outcome.folder / "best.yaml"
    step = "" if best_trial.step is None else f" at step {best_trial.step}"
    say(
        f"Best {outcome.metric} on validation: {best_trial.value:.4f}{step} of trial "
        f"{best_trial.number}, with {_values(best_trial)}."
    )
    say(
        f"Its run is in {outcome.folder / best_trial.folder}, its recipe in {recipe}. Next: "
        f"corarec train {shlex.quote(str(recipe))} --output runs/best --set seed=1"
    )


def _values(trial: "Trial") -> str:
    return ", ".join(f"{key}={_short(value)}" for key, value in trial.values.items())


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
