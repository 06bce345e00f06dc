"""The whole job in one command: interactions, CF, CoRA, a table, recommendations, a page."""

import shlex
from pathlib import Path

import torch
from rich.console import Console

from corarec.backbone import BackboneConfig
from corarec.cf import FitConfig
from corarec.cli.output import heading, print_recommendations, say, training_progress
from corarec.data import Dataset, PrepareConfig, prepare
from corarec.evaluate import terminal_tables
from corarec.progress import progress
from corarec.prompts import PromptConfig
from corarec.recommenders.cora import CoraSystem
from corarec.recommenders.vectors import VectorInputConfig
from corarec.report.run_page import report_run
from corarec.report.runs import evaluate_run
from corarec.score import Run, load_run
from corarec.text import printable
from corarec.train import TrainConfig, train_run
from corarec.train.recipe import RunConfig

_WORLD: dict[str, int] = {}
"""Options of the made-up world, all at their defaults."""


def run_quickstart(output: Path, movielens: Path | None, console: Console, log: Console) -> None:
    """Prepare data, train CoRA on the bundled language model, and show what it learned.

    Parameters
    ----------
    output
        Folder for the dataset, the run and the report. What is already there is not made again.
    movielens
        A MovieLens-1M folder or archive; None for a made-up world, which needs no download.
    console, log
        Where results go, and where progress does.
    """
    name = "movielens" if movielens else "synthetic"
    data, folder = output / f"data-{name}", output / f"run-{name}"
    heading("1 of 5  Data", console)
    dataset = _dataset(data, movielens)
    counts = ", ".join(f"{part} {c.rows:,}" for part, c in dataset.card.counts.items())
    say(
        f"{dataset.num_users:,} users, {dataset.num_items:,} items; interactions: {counts}",
        console,
    )
    heading("2 of 5  Collaborative filtering, then CoRA on the bundled language model", console)
    config = quickstart_config(data)
    with training_progress(config.train.steps, log, every_record=False) as show:
        train_run(config, folder, show=show, console=log)
    heading("3 of 5  Evaluation on the test part", console)
    run = load_run(folder)
    total = len(dataset.rows("test"))
    with progress(log, "scoring test", total) as tracker:
        results, _ = terminal_tables(evaluate_run(run, "test", progress=tracker.advance))
    console.print(results)
    heading("4 of 5  Five recommendations", console)
    _show_recommendations(run, console)
    heading("5 of 5  Report", console)
    say(f"Open {report_run(run, 'test').resolve()}", console)


def quickstart_config(data: Path) -> RunConfig:
    """Return the recipe of the quickstart: CoRA over ridge factors, sized for two CPU cores."""
    return RunConfig(
        data=data,
        cf=FitConfig(model="als", options={"embedding_size": 8, "penalty": 16}),
        system=CoraSystem(
            backbone=_fast_backbone(),
            answer="yes-minus-no",
            prompt=PromptConfig(history_length=5),
            vectors=VectorInputConfig(drop_half=0.8, product=True),
        ),
        train=TrainConfig(
            steps=300,
            batch_size=32,
            learning_rate=2e-3,
            warmup_steps=10,
            validate_every=100,
            validation_rows=1_000,
        ),
    )


def _fast_backbone() -> BackboneConfig:
    """Return the bundled model in the precision that this machine multiplies fastest."""
    capabilities = torch.cpu.get_capabilities()
    if torch.cuda.is_available() or capabilities.get("avx512_bf16"):
        # On a CPU the plain attention has the faster backward pass in bfloat16.
        return BackboneConfig(dtype="bfloat16", attention="eager")
    return BackboneConfig()


def _dataset(folder: Path, movielens: Path | None) -> Dataset:
    if (folder / "card.json").exists():
        return Dataset.load(folder)
    if movielens is None:
        return prepare(
            PrepareConfig(
                source="synthetic", output=folder, split="published", source_options=_WORLD
            )
        )
    return prepare(
        PrepareConfig(source="movielens", input=movielens, output=folder, split="collm-ml1m")
    )


def _show_recommendations(run: Run, console: Console) -> None:
    (user,) = run.directory.most_active(1)
    say(f"For user {printable(user)}", console)
    print_recommendations(run.recommend(user, k=5), console)
    folder = shlex.quote(str(run.folder))
    say(f"For another user: corarec recommend {folder} --user ID -k 5", console)
