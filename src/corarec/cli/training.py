"""Commands that train, and that say beforehand what training will cost."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from corarec.cli.options import Overrides, RunData, SplitOption, TableOrJson
from corarec.cli.output import (
    log,
    measure_label,
    only_first_speaks,
    print_json,
    say,
    training_progress,
)
from corarec.progress import duration, watch_fits


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML).")],
    output: Annotated[Path, typer.Option(help="Run folder; a run that stopped there goes on.")],
    override: Overrides = None,
    data: Annotated[
        Path | None, typer.Option(help="The dataset folder, in place of the recipe's.")
    ] = None,
    form: TableOrJson = "table",
) -> None:
    """Train a system around a language model."""
    from corarec.recipe import load_recipe
    from corarec.recommenders import RECOMMENDERS
    from corarec.train import train_run
    from corarec.train.metrics import best_record, read_metrics

    only_first_speaks()
    config = load_recipe(recipe, override or ())
    if data is not None:
        config = config.model_copy(update={"data": data})
    steps = {phase.name: phase.train.steps for phase in config.phases}
    with training_progress(steps, log, every_record=True) as show:
        train_run(
            config,
            output,
            show=show,
            say=lambda text: say(text, log),
            watch_fit=watch_fits(log),
        )
    records = read_metrics(output)
    system = RECOMMENDERS[config.system.name]
    chosen_by, more_is_better = system.chosen_by(config.phases[-1].system)
    metric = f"valid_{chosen_by}"
    best = best_record(records, chosen_by, more_is_better)
    if log.quiet:  # of several processes
        return
    if form == "json":
        last = records[-1] if records else {"step": 0, "seconds": 0.0}
        print_json(
            {
                "run": str(output),
                "steps": last["step"],
                "seconds": last["seconds"],
                "best_step": best and best["step"],
                f"best_{metric}": best and best[metric],
            }
        )
        return
    if best is not None:
        say(
            f"Best validation {measure_label(chosen_by)} {best[metric]:.4f}, at step "
            f"{best['step']:.0f} of {records[-1]['step']:.0f}"
            f"{' of the phase ' + best['phase'] if 'phase' in best else ''}, after "
            f"{duration(best['seconds'])}."
        )
    say(f"The run is in {output}. Next: corarec evaluate {shlex.quote(str(output))}")


def doctor(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML).")],
    override: Overrides = None,
    form: TableOrJson = "table",
) -> None:
    """Say before any hour is spent: answer tokens, prompt lengths, parameters, memory, time."""
    from dataclasses import asdict

    from corarec.recipe import load_recipe
    from corarec.train.doctor import diagnose

    diagnoses = diagnose(load_recipe(recipe, override or ()))
    if form == "json":
        phases = []
        for each in diagnoses:
            counts = dict(zip(("mean", "p95", "longest"), each.prompt_tokens, strict=True))
            phases.append(asdict(each) | {"prompt_tokens": counts})
        print_json({"phases": phases} if phases[0]["phase"] else phases[0])
        return
    for each in diagnoses:
        for line in each.lines():
            say(line)


def profile(
    what: Annotated[Path, typer.Argument(help="A run folder, a packed run, or a recipe (YAML).")],
    split: SplitOption = "valid",
    pairs: Annotated[int, typer.Option(min=1, max=100_000, help="So many rows are scored.")] = 200,
    override: Overrides = None,
    form: TableOrJson = "table",
    data: RunData = None,
) -> None:
    """Say where the time and memory of scoring go: tokens, generator, linear layers, attention."""
    from corarec.train.profile import profile_of

    found = profile_of(what, split, pairs, overrides=override or (), data=data)
    if form == "json":
        print_json(found.to_dict())
        return
    for line in found.lines():
        say(line)
    width = max(len(name) for name, _, _ in found.rows())
    for name, seconds, share in found.rows():
        say(f"  {name:<{width}}  {seconds:>10}  {share:>6}")


def pretrain_backbone(
    recipe: Annotated[Path, typer.Argument(help="A pretraining recipe (YAML).")],
    output: Annotated[Path, typer.Option(help="Folder; a run that stopped there goes on.")],
    form: TableOrJson = "table",
) -> None:
    """Pretrain a small language model, such as the one that ships."""
    from corarec.pretrain import pretrain_backbone as run_pretraining

    model = run_pretraining(recipe, output)
    if form == "json":
        print_json({"model": str(model)})
    else:
        say(f"The model is in {model}")
