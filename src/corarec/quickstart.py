"""The whole job in one command: interactions, CF, CoRA, a table, recommendations, a page."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from corarec.backbone import BackboneConfig
from corarec.cf import FitConfig
from corarec.data import Dataset, PrepareConfig, prepare
from corarec.evaluate import terminal_tables
from corarec.prompts import PromptConfig
from corarec.recommenders.cora import CoraSystem
from corarec.recommenders.vectors import VectorInputConfig
from corarec.report.run_page import report_run
from corarec.report.runs import evaluate_run
from corarec.score import Run, load_run
from corarec.train import TrainConfig, train_run
from corarec.train.metrics import Record
from corarec.train.recipe import RunConfig

_WORLD: dict[str, int] = {}
"""Options of the made-up world, all at their defaults."""


def run_quickstart(output: Path, movielens: Path | None, console: Console) -> None:
    """Prepare data, train CoRA on the bundled language model, and show what it learned.

    Parameters
    ----------
    output
        Folder for the dataset, the run and the report. What is already there is not made again.
    movielens
        A MovieLens-1M folder or archive; None for a made-up world, which needs no download.
    """
    name = "movielens" if movielens else "synthetic"
    data, folder = output / f"data-{name}", output / f"run-{name}"
    console.rule("1 of 5  Data")
    dataset = _dataset(data, movielens)
    counts = ", ".join(f"{part} {c.rows:,}" for part, c in dataset.card.counts.items())
    console.print(
        f"{dataset.num_users:,} users, {dataset.num_items:,} items; interactions: {counts}"
    )
    console.rule("2 of 5  Collaborative filtering, then CoRA on the bundled language model")
    config = quickstart_config(data)
    with _training_bar(config.train.steps, console) as show:
        train_run(config, folder, show=show, console=console)
    console.rule("3 of 5  Evaluation on the test part")
    run = load_run(folder)
    results, _ = terminal_tables(evaluate_run(run, "test"))
    console.print(results)
    console.rule("4 of 5  Five recommendations")
    _show_recommendations(run, console)
    console.rule("5 of 5  Report")
    console.print(f"Open {report_run(run, 'test').resolve()}")


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


@contextmanager
def _training_bar(steps: int, console: Console) -> Iterator[Callable[[Record], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    shown: Record = {}

    def show(record: Record) -> None:
        shown.update(record)
        parts = [
            f"{label} {shown[name]:.4f}"
            for name, label in (("train_loss", "loss"), ("valid_auc", "validation AUC"))
            if name in shown
        ]
        bar.update(task, completed=record["step"], description=", ".join(parts))

    with Progress(*columns, console=console) as bar:
        task = bar.add_task("training", total=steps)
        yield show


def _show_recommendations(run: Run, console: Console) -> None:
    (user,) = run.directory.most_active(1)
    table = Table(title=f"For user {user}", title_justify="left")
    table.add_column("", justify="right")
    table.add_column("title")
    table.add_column("probability of enjoying", justify="right")
    for row in run.recommend(user, k=5).iter_rows(named=True):
        table.add_row(str(row["rank"]), escape(row["title"]), f"{row['probability']:.1%}")
    console.print(table)
    console.print(f"For another user: corarec recommend {run.folder} --user ID -k 5")
