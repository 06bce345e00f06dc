"""A study: several systems trained with several seeds, and compared."""

import hashlib
import json
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from corarec.benchmark.results import RESULTS, read_results, read_scores
from corarec.benchmark.runs import evaluate_run
from corarec.cf import FitConfig, fit_cf
from corarec.data import Dataset
from corarec.evaluate import ResultTable, compare, evaluate
from corarec.progress import watch_fits
from corarec.recipe import FittedCF, RunConfig, load_recipe
from corarec.runs import check_folder, load_run
from corarec.train import train_run
from corarec.train.metrics import read_metrics
from corarec.types import Config, ScoreTable
from corarec.yaml_files import read_yaml

BESIDE = " | "
"""`CoRA | mf alone` names a row that was evaluated beside the runs of a system."""


class System(Config):
    """One system of a study."""

    recipe: Path
    set: tuple[str, ...] = ()
    """Overrides of the recipe."""


class Study(Config):
    """What to train and what to compare."""

    seeds: list[int]
    split: Literal["valid", "test"]
    systems: dict[str, System]
    comparisons: tuple[tuple[str, str], ...] = ()
    """Names of systems, or of rows beside them, as in `CoRA | mf alone`."""


def load_study(path: Path, seeds: Sequence[int] | None = None) -> Study:
    """Read a study from YAML, with other seeds where some are given.

    Raises
    ------
    ConfigError
        The file is no study.
    """
    study = Study.parse(read_yaml(path, "study"), str(path))
    return study if seeds is None else study.model_copy(update={"seeds": list(seeds)})


def run_study(
    study: Study, folders: Path, console: Console, only: Collection[str] | None = None
) -> None:
    """Train and evaluate every run of a study that was not made before.

    Parameters
    ----------
    folders
        Where the runs go, each into `SYSTEM-SEED`, and the CF models that they share.
    only
        The systems to run; by default all.
    """
    for seed in study.seeds:
        for name, system in study.systems.items():
            if not only or name in only:
                make_run(system, seed, folders / folder_name(name, seed), study.split, console)


def make_run(
    system: System, seed: int, folder: Path, split: Literal["valid", "test"], console: Console
) -> None:
    """Train and evaluate one run, unless that was done before."""
    config = load_recipe(system.recipe, [*system.set, f"seed={seed}"])
    config = config.model_copy(update={"data": config.data.resolve()})
    if isinstance(config.cf, FitConfig):
        fitted = shared_cf(config.data, config.cf, seed, folder.parent / "cf", console)
        config = config.model_copy(update={"cf": FittedCF(path=fitted.resolve())})
    check_folder(config, folder)
    if (folder / RESULTS / f"{split}.json").exists():
        return
    console.rule(str(folder))
    started = time.process_time()
    train_run(config, folder, show=lambda record: console.print(json.dumps(record)))
    evaluate_run(load_run(folder), split)
    console.print(f"{(time.process_time() - started) / 60:.1f} CPU minutes")


def shared_cf(data: Path, choice: FitConfig, seed: int, folder: Path, console: Console) -> Path:
    """Return where a CF model lies, fitted once for all systems of a study that read it."""
    digest = hashlib.sha256(f"{data} {choice.model_dump_json()}".encode()).hexdigest()[:8]
    fitted = folder / f"{choice.model}-{digest}-{seed}"
    if not fitted.exists():
        fit_cf(Dataset.load(data), choice, seed=seed, output=fitted, watch=watch_fits(console))
    return fitted


def study_results(study: Study, folders: Path) -> ResultTable:
    """Evaluate every system as the mean over its seeds, and test the pairs."""
    first = folders / folder_name(next(iter(study.systems)), study.seeds[0])
    single = read_results(first, study.split)
    rows = list(study.systems)
    rows += [name for pair in study.comparisons for name in pair if name not in rows]
    tables = {name: scores_of(name, study, folders) for name in dict.fromkeys(rows)}
    return ResultTable(
        dataset=single.dataset,
        split=study.split,
        systems=[evaluate(tables[name], name) for name in tables if name not in references(single)],
        references=single.references,
        comparisons=[compare(tables[a], tables[b], (a, b)) for a, b in study.comparisons],
    )


def time_taken(study: Study, folders: Path) -> dict[str, float]:
    """Return how many runs there were and how many hours of training and validation in all."""
    runs = [folders / folder_name(name, seed) for seed in study.seeds for name in study.systems]
    hours = sum(read_metrics(run)[-1]["seconds"] for run in runs) / 3600
    return {"runs": len(runs), "hours": round(hours, 1)}


def recipes(study: Study, folders: Path) -> dict[str, RunConfig]:
    """Return the recipe of every system as its first seed was run."""
    seed = study.seeds[0]
    return {
        name: load_recipe(folders / folder_name(name, seed) / "config.yaml")
        for name in study.systems
    }


def scores_of(name: str, study: Study, folders: Path) -> list[ScoreTable]:
    """Return a system's score tables, one per seed; or those of a row beside a system."""
    system, _, column = name.partition(BESIDE)
    if system in study.systems:
        return [
            read_scores(folders / folder_name(system, seed), study.split, column or None)
            for seed in study.seeds
        ]
    anywhere = folders / folder_name(next(iter(study.systems)), study.seeds[0])
    return [read_scores(anywhere, study.split, name)]


def references(result: ResultTable) -> set[str]:
    """Return the names of the trivial references."""
    return {reference.name for reference in result.references}


def folder_name(system: str, seed: int) -> str:
    """Return a folder name for one run."""
    plain = "".join(c if c.isalnum() else "-" for c in system.lower())
    return f"{plain}-{seed}"
