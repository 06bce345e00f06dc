"""What makes a training step quicker: `python benchmarks/step_speed.py RECIPE`.

Compiled blocks, and late activation without a gradient through the history, beside the paper's
equations one after the other: every query through the whole generator, the vocabulary at every
position, batches in the order in which they come. All ways in one run and in turn; steps are timed
in seconds of the processor, which other programs bend less, and the first one, with its compiler,
by the clock. The CF model of the recipe is fitted first.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch.nn import functional

from corarec.cf import FitConfig, VectorSource, fit_cf, load_cf
from corarec.data import Dataset
from corarec.files import write_json
from corarec.provenance import provenance
from corarec.recipe import RunConfig, load_recipe
from corarec.recommenders import build_recommender
from corarec.recommenders.cora import CoraRecommender
from corarec.testing.literal import LiteralCora

RESULT = Path(__file__).parent / "results" / "step_speed.json"
UNCOMPILED = RESULT.with_stem("step_speed_uncompiled")
BATCHES = 4
ROUNDS = 3
COMPILED = ["system.backbone.compile=true", "system.dropout=0"]
PLAIN = ["system.backbone.compile=false", "system.dropout=0"]
WHOLE, LITERAL = "late, whole prompts", "the paper's equations"
WAYS = {
    "plain": PLAIN,
    "compiled": COMPILED,
    "compiled, dropout 0.05": ["system.backbone.compile=true", "system.dropout=0.05"],
    WHOLE: [*COMPILED, "system.activation=title"],
    "late, history apart": [*COMPILED, "system.activation=title"],
    LITERAL: [*PLAIN, "system.backbone.attention=eager"],
}


class Way:
    """One way to take a step, its batches ready."""

    def __init__(self, name: str, config: RunConfig, dataset: Dataset, cf: VectorSource | None):
        self.recommender = build_recommender(config.system, dataset, cf, seed=config.seed)
        self.logits: Callable[..., torch.Tensor] | None = None
        if name == WHOLE:
            assert isinstance(self.recommender, CoraRecommender)
            self.recommender.shares_in_training = False
        size = config.train.batch_size
        # As in training: batches of like length, spread over all lengths.
        rows = np.random.default_rng(0).choice(dataset.rows("train"), size * 50, replace=False)
        inputs = self.recommender.inputs(dataset.pairs(rows))
        order = np.argsort(inputs.lengths, kind="stable")
        if name == LITERAL:
            assert isinstance(self.recommender, CoraRecommender)
            self.logits = LiteralCora(self.recommender).logits
            order = np.arange(len(order))
        batches = order.reshape(50, size)
        chosen = batches[np.linspace(5, 45, BATCHES).astype(int)]
        self.batches = [inputs.batch(some) for some in chosen]
        self.labels = torch.arange(size) % 2

    def step(self, number: int) -> None:
        """Take a step but for the optimizer's part."""
        labels = self.labels.float()
        if self.logits is None:
            loss = self.recommender(**self.batches[number], labels=labels)
        else:
            logits = self.logits(**self.batches[number])
            loss = functional.binary_cross_entropy_with_logits(logits, labels)
        loss.backward()

    @torch.inference_mode()
    def score(self, number: int) -> None:
        """Score a batch as validation does."""
        (self.logits or self.recommender.logits)(**self.batches[number])


def measure(configs: dict[str, RunConfig]) -> dict[str, dict[str, float]]:
    """Return the seconds of each way's first step, of a later one, and of scoring a batch."""
    config = next(iter(configs.values()))
    dataset = Dataset.load(config.data).under(config.knowledge)
    cf_model = None
    if isinstance(config.cf, FitConfig):
        cf_model, _ = fit_cf(dataset, config.cf, seed=config.seed)
    elif config.cf:
        cf_model = load_cf(config.cf.path, dataset.fingerprint)
    cf = VectorSource(cf_model, dataset) if cf_model else None
    ways = {name: Way(name, config, dataset, cf) for name, config in configs.items()}
    result = {}
    for name, way in ways.items():
        way.recommender.train()
        result[name] = {"first_step_seconds": _seconds(way.step, 0)}
        way.step(1)  # of another length
    for name, seconds in _in_turn({name: way.step for name, way in ways.items()}).items():
        result[name]["step_seconds"] = seconds
    for way in ways.values():
        way.recommender.eval()
        way.score(0)
    for name, seconds in _in_turn({name: way.score for name, way in ways.items()}).items():
        result[name]["score_seconds"] = seconds
    return result


def _in_turn(acts: dict[str, Callable[[int], None]]) -> dict[str, float]:
    """Return the mean over batches of each act's quickest time in any round."""
    seconds = {name: np.full(BATCHES, np.inf) for name in acts}
    for _ in range(ROUNDS):
        for number in range(BATCHES):
            for name, act in acts.items():
                taken = _seconds(act, number, time.process_time) / torch.get_num_threads()
                seconds[name][number] = min(seconds[name][number], taken)
    return {name: float(values.mean()) for name, values in seconds.items()}


def _seconds(
    act: Callable[[int], None], number: int, clock: Callable[[], float] = time.perf_counter
) -> float:
    begun = clock()
    act(number)
    return clock() - begun


def main() -> None:
    """Measure every way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--uncompiled", action="store_true", help="compile nothing")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    ways = WAYS
    if options.uncompiled:
        ways = {name: [*WAYS[name], PLAIN[0]] for name in WAYS if not name.startswith("compiled")}
    configs = {name: load_recipe(options.recipe, changes) for name, changes in ways.items()}
    torch._dynamo.config.recompile_limit = 64  # several models in one process
    result = measure(configs)
    Console().print(result)
    batch_size = configs["plain"].train.batch_size
    made = {
        "provenance": provenance(configs),
        "threads": options.threads,
        "batch_size": batch_size,
        **result,
    }
    write_json(UNCOMPILED if options.uncompiled else RESULT, made)


if __name__ == "__main__":
    main()
