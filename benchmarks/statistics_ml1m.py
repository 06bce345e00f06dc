"""What each family of statistics gives on MovieLens-1M: all of them, and all but one.

    corarec prepare movielens --input ml-1m --output data/ml-1m-earlier --split collm-ml1m \
        --keep-earlier
    python benchmarks/statistics_ml1m.py data/ml-1m-earlier

The parts train, valid and test of that dataset are those of `collm-ml1m`. Prints AUC and UAUC on
the validation rows of the logistic regression, of the trees and of both joined, and writes them to
benchmarks/results/statistics_ml1m.json. Nothing is seeded but bags of trees. With `--split test` it
scores the test rows with all families, once for each policy, and every look is logged.
"""

import argparse
import time
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from corarec.benchmark.test_log import log_test_evaluation
from corarec.cf import FitConfig, VectorSource, fit_cf
from corarec.cf.statistics import Statistics
from corarec.cf.statistics.config import DEFAULT_FAMILIES
from corarec.data import Dataset, KnowledgePolicy
from corarec.evaluate import BootstrapConfig, evaluate
from corarec.files import read_json, write_json
from corarec.provenance import provenance

RESULT = Path(__file__).parent / "results" / "statistics_ml1m.json"
POLICIES: tuple[Literal["snapshot", "streaming"], ...] = ("snapshot", "streaming")


def row(
    dataset: Dataset, families: tuple[str, ...], split: Literal["valid", "test"], name: str
) -> dict[str, Any]:
    """Fit the model with some families and measure its heads on one part of the rows."""
    started = time.process_time()
    config = FitConfig(model="statistics", options={"families": families})
    model, _ = fit_cf(dataset, config)
    assert isinstance(model, Statistics)
    seconds = time.process_time() - started
    scores = model.scores_by_head(VectorSource(model, dataset).known(dataset.pairs(split)))
    scores["blend"] = np.mean(list(scores.values()), axis=0)
    measured: dict[str, Any] = {"families": list(families), "cpu_seconds": round(seconds, 1)}
    for head, values in scores.items():
        table = dataset.score_table(split, values)
        evaluation = evaluate(table, f"{name}, {head}", config=BootstrapConfig(draws=1))
        if split == "test" and head == "blend":
            log_test_evaluation(RESULT.parent, evaluation)
        measured[head] = {
            f"{part}_{metric}": round(estimate.value, 4)
            for part, found in evaluation.parts.items()
            for metric, estimate in found.metrics.items()
            if estimate is not None
        }
    return measured


def chosen(policy: str, *, early: bool) -> tuple[str, ...]:
    """Return the families that a policy has, with or without those of the earlier rows."""
    families = [name for name in DEFAULT_FAMILIES if name != "running" or policy == "streaming"]
    return (*families, "early") if early else tuple(families)


def keep(split: str, rows: dict[str, Any]) -> None:
    """Write the rows to the file of results; others that stand there stay."""
    there = read_json(RESULT) if RESULT.exists() else {}
    write_json(RESULT, there | {"provenance": provenance(), split: there.get(split, {}) | rows})


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("dataset", type=Path, help="folder of `prepare --keep-earlier`")
    parser.add_argument("--split", choices=("valid", "test"), default="valid")
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=list(POLICIES))
    parser.add_argument("--whole", action="store_true", help="leave no family out")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console(width=140)
    dataset = Dataset.load(arguments.dataset)
    rows: dict[str, Any] = {}
    for policy in arguments.policies:
        known = dataset.under(KnowledgePolicy(policy=policy))
        for early in (False, True):
            families = chosen(policy, early=early)
            name = f"{policy}{' + early' if early else ''}"
            plans = {name: families}
            if arguments.split == "valid" and not arguments.whole:
                for left in families:
                    rest = tuple(each for each in families if each != left)
                    if left != "early":
                        plans[f"{name} - {left}"] = rest
            for label, some in plans.items():
                rows[label] = row(known, some, arguments.split, f"statistics, {label}")
                keep(arguments.split, rows)
    table = Table(title=f"ML-1M {arguments.split}, AUC/UAUC")
    for column in ("statistics", "lr", "trees", "blend", "CPU s"):
        table.add_column(column)
    for label, measured in rows.items():
        cells = [
            f"{measured[head]['all_auc']:.3f}/{measured[head]['all_uauc']:.3f}"
            for head in ("lr", "trees", "blend")
        ]
        table.add_row(label, *cells, f"{measured['cpu_seconds']:.0f}")
    console.print(table)


if __name__ == "__main__":
    main()
