"""Commands that train, and that say beforehand what training will cost."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from corarec.cli.options import Overrides, TableOrJson
from corarec.cli.output import log, print_json, say, training_progress
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
    from corarec.train import train_run
    from corarec.train.metrics import read_metrics

    config = load_recipe(recipe, override or ())
    if data is not None:
        config = config.model_copy(update={"data": data})
    with training_progress(config.train.steps, log, every_record=True) as show:
        train_run(
            config,
            output,
            show=show,
            say=lambda text: say(text, log),
            watch_fit=watch_fits(log),
        )
    records = read_metrics(output)
    best = max(
        (record for record in records if "valid_auc" in record),
        key=lambda record: record["valid_auc"],
        default=None,
    )
    if form == "json":
        last = records[-1] if records else {"step": 0, "seconds": 0.0}
        print_json(
            {
                "run": str(output),
                "steps": last["step"],
                "seconds": last["seconds"],
                "best_step": best and best["step"],
                "best_valid_auc": best and best["valid_auc"],
            }
        )
        return
    if best is not None:
        say(
            f"Best validation AUC {best['valid_auc']:.4f}, at step {best['step']:.0f} of "
            f"{records[-1]['step']:.0f}, after {duration(best['seconds'])}."
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

    diagnosis = diagnose(load_recipe(recipe, override or ()))
    if form == "json":
        counts = dict(zip(("mean", "p95", "longest"), diagnosis.prompt_tokens, strict=True))
        print_json(asdict(diagnosis) | {"prompt_tokens": counts})
        return
    for line in diagnosis.lines():
        say(line)


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
