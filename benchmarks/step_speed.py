"""What compiling the blocks of the language model saves: `python benchmarks/step_speed.py RECIPE`.

All ways in one run on the same batches, so that the ratio holds where the seconds do not. The CF
model of the recipe is fitted first.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch.nn.functional import binary_cross_entropy_with_logits

from corarec.cf import FitConfig, VectorSource, fit_cf, load_cf
from corarec.data import Dataset
from corarec.files import write_json
from corarec.provenance import provenance
from corarec.recipe import RunConfig, load_recipe
from corarec.recommenders import build_recommender

RESULT = Path(__file__).parent / "results" / "step_speed.json"
BATCHES = 4
ROUNDS = 3
WAYS = {
    "plain": ["system.backbone.compile=false", "system.dropout=0"],
    "compiled": ["system.backbone.compile=true", "system.dropout=0"],
    "compiled, dropout 0.05": ["system.backbone.compile=true", "system.dropout=0.05"],
}


def measure(config: RunConfig) -> dict[str, float]:
    """Return the seconds of the first step, of a later one, and of scoring a batch."""
    dataset = Dataset.load(config.data).under(config.knowledge)
    cf_model = None
    if isinstance(config.cf, FitConfig):
        cf_model, _ = fit_cf(dataset, config.cf, seed=config.seed)
    elif config.cf:
        cf_model = load_cf(config.cf.path, dataset.fingerprint)
    cf = VectorSource(cf_model, dataset) if cf_model else None
    recommender = build_recommender(config.system, dataset, cf, seed=config.seed)
    rows = np.random.default_rng(0).choice(
        dataset.rows("train"), (BATCHES, config.train.batch_size), replace=False
    )
    inputs = [recommender.inputs(dataset.pairs(some)) for some in rows]
    batches = [some.batch(np.arange(config.train.batch_size)) for some in inputs]

    def step(number: int) -> None:
        logits = recommender.logits(**batches[number])
        binary_cross_entropy_with_logits(logits, torch.ones_like(logits)).backward()

    @torch.no_grad()
    def score(number: int) -> None:
        recommender.logits(**batches[number])

    recommender.train()
    first = _seconds(step, 0)
    steps = [_seconds(step, n) for _ in range(ROUNDS) for n in range(BATCHES)]
    recommender.eval()
    score(0)
    scores = [_seconds(score, n) for _ in range(ROUNDS) for n in range(BATCHES)]
    return {
        "first_step_seconds": first,
        "step_seconds": float(np.median(steps)),
        "score_seconds": float(np.median(scores)),
    }


def _seconds(act: Callable[[int], None], number: int) -> float:
    begun = time.perf_counter()
    act(number)
    return time.perf_counter() - begun


def main() -> None:
    """Measure every way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    configs = {name: load_recipe(options.recipe, changes) for name, changes in WAYS.items()}
    result = {name: measure(config) for name, config in configs.items()}
    Console().print(result)
    batch_size = configs["plain"].train.batch_size
    made = {"provenance": provenance(configs), "threads": options.threads}
    write_json(RESULT, made | {"batch_size": batch_size} | result)


if __name__ == "__main__":
    main()
