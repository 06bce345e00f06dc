"""Fit the CF models on MovieLens-1M over several seeds and compare with the reference figures.

    corarec prepare movielens --input ml-1m --output data/ml-1m --split collm-ml1m
    python benchmarks/cf_ml1m.py data/ml-1m --save runs/cf

Prints the mean and the standard deviation over seeds of AUC and UAUC on the test rows (all, warm,
cold) with the time of one thread, and writes them to benchmarks/results/cf_ml1m.json; models that
are not run keep the figures that stand there. Every scoring of the test split adds a line to
benchmarks/results/test_evaluations.jsonl. With `--save` every fitted model is kept as
`<folder>/<label>-seed<k>`.
"""

import argparse
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from corarec.benchmark.test_log import log_test_evaluation
from corarec.cf import FitConfig, fit_cf
from corarec.data import Dataset
from corarec.evaluate import BootstrapConfig, evaluate
from corarec.files import read_json, write_json
from corarec.progress import watch_fits
from corarec.provenance import provenance
from corarec.types import ScoreTable

RESULT = Path(__file__).parent / "results" / "cf_ml1m.json"

MODELS = {
    "rates": FitConfig(model="rates"),
    "mf": FitConfig(model="mf"),
    "mf-b": FitConfig(model="mf-b"),
    "mf-b-d64": FitConfig(model="mf-b", options={"embedding_size": 64, "learning_rate": 1e-3}),
    "mf-b-d256": FitConfig(model="mf-b", options={"embedding_size": 256, "learning_rate": 1e-3}),
    "als": FitConfig(model="als"),
    "lightgcn": FitConfig(model="lightgcn"),
    "sasrec": FitConfig(model="sasrec"),
    "binary-mf": FitConfig(model="binary-mf"),
    "mf, as CoLLM": FitConfig(
        model="mf",
        options={
            "embedding_size": 256,
            "learning_rate": 1e-3,
            "weight_decay": 1e-4,
            "patience": 100,
            "init_std": 1.0,
        },
    ),
    "lightgcn, as CoLLM": FitConfig(model="lightgcn", options={"embedding_size": 64}),
    "sasrec, as CoLLM": FitConfig(
        model="sasrec",
        options={"embedding_size": 64, "weight_decay": 1e-2, "max_length": 25},
    ),
}
"""Label -> what is fitted; the options, mostly the defaults, were chosen on validation. "As CoLLM"
are the sizes, rates and patience that CoLLM's scripts give; where they are silent, the defaults."""

REFERENCE: dict[str, tuple[float, float] | None] = {
    "rates": (0.733, 0.682),
    "mf": (0.643, 0.630),
    "mf-b": (0.728, 0.671),
    "mf-b-d64": (0.728, 0.671),
    "mf-b-d256": (0.728, 0.671),
    "als": None,
    "lightgcn": (0.593, 0.647),
    "sasrec": (0.697, 0.669),
    "binary-mf": None,
    "mf, as CoLLM": None,
    "lightgcn, as CoLLM": None,
    "sasrec, as CoLLM": None,
}
"""Label -> AUC and UAUC on all test rows, measured independently with the settings of the authors'
scripts (`rates`: a logistic regression on both rates; `mf-b`: the middle of 0.725 to 0.731)."""

PUBLISHED = {
    "mf": (0.6486, 0.6396),
    "lightgcn": (0.5858, 0.6512),
    "sasrec": (0.7005, 0.6734),
    "sasrec, as CoLLM": (0.7078, 0.6884),
}
"""Label -> AUC and UAUC on all test rows in CoRA's table 3; as CoLLM: in CoLLM's table."""

Measures = dict[str, float]


def measure(table: ScoreTable, label: str, log_folder: Path) -> Measures:
    """Return AUC and UAUC over all, warm and cold rows of the test split, and log the look."""
    evaluation = evaluate(table, label, config=BootstrapConfig(draws=1))
    log_test_evaluation(log_folder, evaluation)
    return {
        f"{name}_{metric}": estimate.value
        for name, part in evaluation.parts.items()
        for metric, estimate in part.metrics.items()
        if estimate is not None
    }


def run(dataset: Dataset, label: str, seed: int, save: Path | None, console: Console) -> Measures:
    """Fit one model with one seed and measure it on the test rows."""
    output = None if save is None else save / f"{label}-seed{seed}"
    started = time.process_time()
    model, report = fit_cf(
        dataset, MODELS[label], seed=seed, output=output, watch=watch_fits(console)
    )
    cpu_seconds = time.process_time() - started
    table = dataset.score_table("test", model.score(dataset.pairs("test")))
    return measure(table, label, RESULT.parent) | {
        "train_auc": report.train_auc,
        "valid_auc": report.valid_auc,
        "best_epoch": report.best_epoch,
        "seconds": report.seconds,
        "cpu_seconds": cpu_seconds,
    }


def summary(label: str, runs: list[Measures]) -> dict[str, Any]:
    """Return mean and standard deviation (n - 1) over seeds beside the reference."""
    values = {name: np.array([one[name] for one in runs]) for name in runs[0]}
    deviation = {
        name: float(column.std(ddof=1)) if len(column) > 1 else 0.0
        for name, column in values.items()
    }
    config = MODELS[label].build().config
    return {
        "config": config.model_dump(mode="json"),
        "mean": {name: round(float(column.mean()), 4) for name, column in values.items()},
        "deviation": {name: round(value, 4) for name, value in deviation.items()},
        "reference": REFERENCE[label],
        "published": PUBLISHED.get(MODELS[label].model),
        "runs": [{name: round(value, 4) for name, value in one.items()} for one in runs],
    }


def show(results: dict[str, dict[str, Any]], seeds: int) -> Table:
    """Return the terminal table."""
    table = Table(title=f"ML-1M test, AUC/UAUC, mean ± deviation over {seeds} seeds")
    for column in ("model", "all", "reference", "warm", "cold", "train | valid AUC", "CPU s"):
        table.add_column(column)
    for label, result in results.items():
        mean, deviation = result["mean"], result["deviation"]
        parts = [
            f"{mean[f'{part}_auc']:.3f}/{mean[f'{part}_uauc']:.3f} "
            f"± {deviation[f'{part}_auc']:.3f}/{deviation[f'{part}_uauc']:.3f}"
            for part in ("all", "warm", "cold")
        ]
        reference = "/".join(f"{value:.3f}" for value in result["reference"] or ())
        aucs = f"{mean['train_auc']:.3f} | {mean['valid_auc']:.4f}"
        table.add_row(label, parts[0], reference, *parts[1:], aucs, f"{mean['cpu_seconds']:.1f}")
    return table


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("dataset", type=Path, help="folder that `corarec prepare` wrote")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--save", type=Path, help="keep the fitted models in this folder")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=140)
    dataset = Dataset.load(arguments.dataset)
    results = {
        label: summary(
            label,
            [run(dataset, label, seed, arguments.save, console) for seed in range(arguments.seeds)],
        )
        for label in arguments.models
    }
    console.print(show(results, arguments.seeds))
    earlier = read_json(RESULT)["models"] if RESULT.exists() else {}
    made = provenance(MODELS)
    results = {label: result | {"commit": made["commit"]} for label, result in results.items()}
    machine = {"provenance": made, "machine": platform.machine(), "threads": 1}
    write_json(RESULT, machine | {"models": earlier | results})


if __name__ == "__main__":
    main()
