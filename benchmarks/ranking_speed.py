"""What reading a history once saves, for many items of one person.

    python benchmarks/ranking_speed.py recipes/ml-1m/cora-als.yaml --set system.activation=title

Items per second and the memory that scoring adds, for every way, in turn and in one run, on the
most active user of the validation part. The system is untrained, which costs the same; its scores
are held against the plain ones. The CF model of the recipe is fitted first.
"""

import argparse
import gc
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import torch
from rich.console import Console

from corarec.cf import FitConfig, VectorSource, fit_cf, load_cf
from corarec.data import Dataset
from corarec.files import write_json
from corarec.provenance import provenance
from corarec.recipe import RunConfig, load_recipe
from corarec.recommenders import build_recommender
from corarec.recommenders.llm import PromptRecommender
from corarec.recommenders.shared import CACHE, KEYS
from corarec.score.context import Context
from corarec.score.ranker import Ranker
from corarec.score.scorer import Scorer

RESULT = Path(__file__).parent / "results" / "ranking_speed.json"
ITEMS = (100, 1000)
ROUNDS = 2
WHOLE = "whole prompts"


class OneWay(Ranker):
    """A ranker that knows one way only."""

    def __init__(self, system: PromptRecommender, way: str) -> None:
        super().__init__(system)
        self._ways = [way]


def build(config: RunConfig) -> tuple[PromptRecommender, Dataset]:
    """Return the system of a recipe, untrained but with projections that are not zero."""
    dataset = Dataset.load(config.data).under(config.knowledge)
    cf = None
    if isinstance(config.cf, FitConfig):
        cf = VectorSource(fit_cf(dataset, config.cf, seed=config.seed)[0], dataset)
    elif config.cf:
        cf = VectorSource(load_cf(config.cf.path, dataset.fingerprint), dataset)
    system = build_recommender(config.system, dataset, cf, seed=config.seed).eval()
    assert isinstance(system, PromptRecommender)
    random = torch.Generator().manual_seed(0)
    for name, parameter in system.named_parameters():
        if "cora_projection" in name:
            parameter.data.normal_(std=0.02, generator=random)
    return system, dataset


def measure(system: PromptRecommender, dataset: Dataset, counts: list[int]) -> dict[str, Any]:
    """Return items per second, megabytes and distance from plain scores, by way and count."""
    pairs = dataset.pairs("valid")
    row = int(np.argmax(pairs.histories.lengths()))
    context = Context(int(pairs.user_ids[row]), pairs.histories.last(50)[row])
    context = Context(context.user_id, context.liked[context.liked > 0])
    ways: dict[str, Scorer] = {
        WHOLE: Scorer(system),
        CACHE: OneWay(system, CACHE),
        KEYS: OneWay(system, KEYS),
    }
    rng = np.random.default_rng(0)
    results: dict[str, Any] = {}
    for count in counts:
        items = rng.choice(dataset.num_items, count, replace=count > dataset.num_items) + 1
        seconds = dict.fromkeys(ways, np.inf)
        megabytes = dict.fromkeys(ways, 0.0)
        scores = {}
        for way in ways.values():
            way.score_items(context, items[:20])  # the trial, and memory that stays
        for _ in range(ROUNDS):
            for name, way in ways.items():
                gc.collect()
                begun = time.perf_counter()
                with Peak() as peak:
                    scores[name] = way.score_items(context, items)
                seconds[name] = min(seconds[name], time.perf_counter() - begun)
                megabytes[name] = max(megabytes[name], peak.megabytes)
        results[str(count)] = {
            name: {
                "items_per_second": round(count / seconds[name], 1),
                "times_as_fast": round(seconds[WHOLE] / seconds[name], 2),
                "megabytes_added": round(megabytes[name]),
                "largest_difference": float(np.abs(scores[name] - scores[WHOLE]).max()),
            }
            for name in ways
        }
    return results


class Peak:
    """The most memory that the process took beyond what it had on entering."""

    def __enter__(self) -> "Peak":
        self._process = psutil.Process()
        self._before = self._process.memory_info().rss
        self.megabytes = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            taken = self._process.memory_info().rss - self._before
            self.megabytes = max(self.megabytes, taken / 1e6)


def main() -> None:
    """Measure every way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--set", action="append", default=[], help="a change, KEY=VALUE")
    parser.add_argument("--items", type=int, nargs="+", default=list(ITEMS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    configs, result = {}, {}
    for dtype in ("float32", "bfloat16"):
        plain = ["compile=false", "attention=sdpa", f"dtype={dtype}"]
        changes = [*options.set, *(f"system.backbone.{change}" for change in plain)]
        configs[dtype] = load_recipe(options.recipe, changes)
        system, dataset = build(configs[dtype])
        result[dtype] = measure(system, dataset, options.items)
    Console().print(result)
    made = {"provenance": provenance(configs), "threads": options.threads}
    write_json(RESULT, made | {"changes": options.set, "settings": result})


if __name__ == "__main__":
    main()
