"""Commands that train, and that say beforehand what training will cost."""

from pathlib import Path
from typing import Annotated

import typer

from corarec.cli.output import console, show_record


def train(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML).")],
    output: Annotated[Path, typer.Option(help="Run folder; a run that stopped there goes on.")],
    override: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Such as train.steps=100; repeat."),
    ] = None,
) -> None:
    """Train a system around a language model."""
    from corarec.train import train_run
    from corarec.train.recipe import load_recipe

    config = load_recipe(recipe, override or ())
    train_run(config, output, show=show_record, console=console)
    console.print(f"The run is in {output}. Next: corarec evaluate {output}")


def doctor(
    recipe: Annotated[Path, typer.Argument(help="A recipe (YAML).")],
    override: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Repeat for several.")
    ] = None,
) -> None:
    """Say before any hour is spent: answer tokens, prompt lengths, parameters, memory, time."""
    from corarec.train.doctor import diagnose
    from corarec.train.recipe import load_recipe

    for line in diagnose(load_recipe(recipe, override or ())).lines():
        console.print(line, highlight=False)


def pretrain_backbone(
    recipe: Annotated[Path, typer.Argument(help="A pretraining recipe (YAML).")],
    output: Annotated[Path, typer.Option(help="Folder; a run that stopped there goes on.")],
) -> None:
    """Pretrain a small language model, such as the one that ships."""
    from corarec.backbone.pretrain import pretrain_backbone as run_pretraining

    run_pretraining(recipe, output)
