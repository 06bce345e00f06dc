"""What scoring costs beside the frozen language model and beside the paper's equations.

    python benchmarks/scoring_speed.py data/ml-1m --tokenizer LLAMA_TOKENIZER.model

Prompts of a dataset's test part, in turn and in one process: the frozen model as Transformers runs
it, exact scoring of the same batches, `score` from text to scores, the paper's equations one after
the other; then the ranking of one person's items. Models: the bundled one, and,
where `--tokenizer` names the Llama tokenizer of 32,000 pieces, a Llama of 41 million random
weights. (A `.model` file needs `pip install sentencepiece`.) CF vectors are random: they cost the
same. Seconds are those of the processor, which other programs bend less.
"""

import argparse
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]
import torch
from rich.console import Console
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig

from corarec.backbone.load import BUNDLED
from corarec.cf.vectors import VectorTable
from corarec.data import Dataset
from corarec.files import read_json, write_json
from corarec.provenance import provenance
from corarec.recommenders import build_recommender
from corarec.recommenders.cora import CoraRecommender, CoraSystem
from corarec.recommenders.shared import CACHE, KEYS
from corarec.score.batches import BATCH_PAIRS, score_batches
from corarec.score.context import Context
from corarec.score.ranker import Ranker
from corarec.score.scorer import Scorer
from corarec.testing.literal import LiteralCora
from corarec.types import Pairs

RESULT = Path(__file__).parent / "results" / "scoring_speed.json"
VECTOR_SIZE = 64
ROUNDS = 5
WHOLE = "whole prompts"
LLAMA = {
    "hidden_size": 512,
    "intermediate_size": 1376,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": True,
}


class RandomVectors:
    """What a system asks of a CF model, by chance."""

    name, vector_size, match_size, families = "random", VECTOR_SIZE, 0, ()

    def __init__(self, dataset: Dataset) -> None:
        rng = torch.Generator().manual_seed(0)
        self._users = torch.randn(dataset.num_users + 1, VECTOR_SIZE, generator=rng)
        self._items = torch.randn(dataset.num_items + 1, VECTOR_SIZE, generator=rng)

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of pairs."""
        return VectorTable(self._users, self._items, pairs.user_ids, pairs.item_ids)


def llama(tokenizer: Path, folder: Path) -> Path:
    """Write a Llama of 41 million random weights with a tokenizer of 32,000 pieces."""
    config = LlamaConfig(vocab_size=32_000, **LLAMA)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    if tokenizer.is_dir():
        AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
    else:
        shutil.copy(tokenizer, folder / "tokenizer.model")
        AutoTokenizer.from_pretrained(folder).save_pretrained(folder)
    return folder


def build(model: str, dataset: Dataset, dtype: str, **options: Any) -> CoraRecommender:
    """Return a CoRA with projections that are not zero."""
    backbone = {"model": model, "dtype": dtype, "attention": options.pop("attention", "sdpa")}
    config = CoraSystem.model_validate({"backbone": backbone, **options})
    system = build_recommender(config, dataset, RandomVectors(dataset), seed=0)  # type: ignore[arg-type]
    assert isinstance(system, CoraRecommender)
    random = torch.Generator().manual_seed(0)
    for name, parameter in system.named_parameters():
        if "cora_projection" in name:
            parameter.data.normal_(std=0.02, generator=random)
    return system.eval()


def padding(dataset: Dataset) -> dict[str, float]:
    """Return the share of padding in the passes of the test part, and in batches as rows come."""
    pairs = dataset.pairs("test")
    system = build("bundled", dataset, "bfloat16")
    batches = Scorer(system).batches(pairs)
    inputs = system.inputs(pairs)
    inputs.tokenise()
    in_turn = np.array_split(np.arange(len(pairs)), -(-len(pairs) // BATCH_PAIRS))
    ways = {
        "in passes": (batch for _, batch in batches.passes(slice(0, len(batches)))),
        "as they come": (inputs.batch(rows) for rows in in_turn),
    }
    found = {}
    for name, way in ways.items():
        masks = [batch["attention_mask"] for batch in way]
        tokens, places = sum(int(m.sum()) for m in masks), sum(m.numel() for m in masks)
        found[name] = round(1 - tokens / places, 4)
    return found


class WholePrompts:
    """A system that reads every prompt as a whole, the last block for the last position."""

    def __init__(self, system: CoraRecommender) -> None:
        self._system = system
        self.training, self.device, self.inputs = False, system.device, system.inputs

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logits: [B]."""
        with self._system.last_only():
            return self._system.logits(**batch)


def scoring(model: str, dataset: Dataset, dtype: str, count: int, rounds: int) -> dict[str, Any]:
    """Return pairs per second by way, and how far scores lie from the equations'."""
    rows = dataset.rows("test")
    chosen = np.sort(np.random.default_rng(0).choice(len(rows), count, replace=False))
    pairs = dataset.pairs(rows[chosen])
    fit, paper = build(model, dataset, dtype), build(model, dataset, dtype, generator="paper")
    late = build(model, dataset, dtype, activation="title")
    literal = LiteralCora(build(model, dataset, dtype, attention="eager"))
    plain = AutoModelForCausalLM.from_pretrained(
        BUNDLED if model == "bundled" else model, dtype=getattr(torch, dtype)
    ).eval()
    passes = list(Scorer(fit).batches(pairs).passes(slice(0, count)))

    @torch.inference_mode()
    def frozen() -> None:
        for _, batch in passes:
            mask = batch["attention_mask"]
            plain(
                input_ids=batch["input_ids"],
                attention_mask=mask,
                position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0),
                use_cache=False,
                logits_to_keep=1,
            )

    few = pairs.take(slice(0, max(count // 3, 8)))
    consecutive = dataset.pairs(rows[:count])
    ways: dict[str, tuple[Callable[[], Any], int]] = {
        "the frozen model": (frozen, count),
        "exact": (lambda: _passes(fit, passes, pairs), count),
        "exact, paper's generator": (lambda: _passes(paper, passes, pairs), count),
        "score": (lambda: Scorer(fit).score(pairs), count),
        "score, late": (lambda: Scorer(late).score(consecutive), count),
        "the paper's equations": (lambda: literal.score(few), len(few)),
    }
    seconds = _in_turn({name: way for name, (way, _) in ways.items()}, rounds)
    rates = {name: size / seconds[name] for name, (_, size) in ways.items()}
    distance = np.abs(Scorer(fit).score(few) - literal.score(few)).max()
    return {
        "tokens": round(float(np.mean([b["attention_mask"].sum() / len(r) for r, b in passes]))),
        "largest_difference": float(distance),
        "ways": {
            name: {
                "pairs_per_second": round(rate, 2),
                "of_frozen": round(rate / rates["the frozen model"], 3),
                "times_the_equations": round(rate / rates["the paper's equations"], 2),
            }
            for name, rate in rates.items()
        },
    }


def _passes(system: CoraRecommender, passes: list[Any], pairs: Pairs) -> None:
    score_batches(system, passes, pairs, logits=system.scoring_logits)


def ranking(
    model: str, dataset: Dataset, dtype: str, counts: list[int], rounds: int
) -> dict[str, Any]:
    """Return items per second and megabytes added by way and number of items."""
    late = build(model, dataset, dtype, activation="title")
    pairs = dataset.pairs("valid")
    row = int(np.argmax(pairs.histories.lengths()))
    liked = pairs.histories.last(50)[row]
    context = Context(int(pairs.user_ids[row]), liked[liked > 0])
    whole = Scorer(WholePrompts(late))
    rankers = {CACHE: Ranker(late), KEYS: Ranker(late)}
    for name, ranker in rankers.items():
        ranker._ways = [name]
    rng = np.random.default_rng(0)
    items = rng.integers(1, dataset.num_items + 1, max(counts))
    for scorer in (whole, *rankers.values()):
        scorer.score_items(context, items[:20])
    few = items[:40]
    found: dict[str, Any] = {}
    for count in counts:
        ways: dict[str, Callable[[], Any]] = {WHOLE: partial(whole.score_items, context, few)}
        for name, ranker in rankers.items():
            ways[name] = partial(ranker.score_items, context, items[:count])
        megabytes = {}
        seconds = dict.fromkeys(ways, np.inf)
        for _ in range(rounds if count < 1000 else 2 if count == 1000 else 1):
            for name, way in ways.items():
                begun = time.process_time()
                with Peak() as peak:
                    way()
                seconds[name] = min(seconds[name], time.process_time() - begun)
                megabytes[name] = round(peak.megabytes)
        rates = {name: (len(few) if name == WHOLE else count) / seconds[name] for name in ways}
        found[str(count)] = {
            name: {
                "items_per_second": round(rate, 1),
                "times_as_fast": round(rate / rates[WHOLE], 2),
                "megabytes_added": megabytes[name],
            }
            for name, rate in rates.items()
        }
    return found


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


def _in_turn(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the quickest of some rounds of each way, after one that does not count."""
    seconds = dict.fromkeys(ways, np.inf)
    for number in range(rounds + 1):
        for name, way in ways.items():
            begun = time.process_time()
            way()
            if number:
                seconds[name] = min(seconds[name], time.process_time() - begun)
    return seconds


def main() -> None:
    """Measure every model, every type of weights, every way."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--tokenizer", type=Path, help="of Llama: a .model file or a folder")
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--items", type=int, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--parts", nargs="+", default=["scoring", "ranking"])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", choices=["bundled", "llama-41m"], help="one model")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dataset = Dataset.load(options.data)
    result: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        models = {"bundled": "bundled"}
        if options.tokenizer:
            models["llama-41m"] = str(llama(options.tokenizer, Path(folder)))
        for name, model in models.items():
            if options.only not in (None, name):
                continue
            for dtype in options.dtypes:
                entry = result.setdefault(name, {}).setdefault(dtype, {})
                if "scoring" in options.parts:
                    entry["scoring"] = scoring(model, dataset, dtype, options.pairs, options.rounds)
                if "ranking" in options.parts:
                    entry["ranking"] = ranking(model, dataset, dtype, options.items, options.rounds)
                Console().print({name: {dtype: entry}})
    known = read_json(RESULT)["models"] if RESULT.exists() else {}
    for name, by_dtype in result.items():
        for dtype, entry in by_dtype.items():
            known.setdefault(name, {}).setdefault(dtype, {}).update(entry)
    made = {"provenance": provenance({}), "threads": 1, "padding": padding(dataset)}
    write_json(RESULT, made | {"models": known})


if __name__ == "__main__":
    main()
