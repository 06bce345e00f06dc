"""CLLM4Rec on a made-up world with reviews, beside its two halves and popularity: `cllm4rec.py`.

The language model is made here, too: two small blocks that have read reviews of another world, each
after words for who wrote it and what about, so that they know how reviews are written and follow
from such words, and nothing of this world's users and films. Settings were chosen on validation.
Results go to benchmarks/results/cllm4rec.json.
"""

import argparse
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from corarec.benchmark.ranking import rank_run
from corarec.data import Dataset, PrepareConfig, prepare
from corarec.evaluate import RankingConfig, RankingTable
from corarec.files import write_json
from corarec.provenance import provenance
from corarec.recipe import RunConfig
from corarec.runs import load_run
from corarec.train import train_run

RESULT = Path(__file__).parent / "results" / "cllm4rec.json"
WORLD: dict[str, Any] = {
    "num_users": 500,
    "num_items": 250,
    "interactions_per_user": 15,
    "choosiness": 0.5,
    "cold_users": 0,
    "cold_items": 0,
    "reviews": True,
}
OTHER_WORLD = 1_000
"""Added to the seed of the world whose reviews the language model has read."""
CUTOFFS = (20, 40, 100)
COURSE: dict[str, Any] = {
    "batch_size": 32,
    "learning_rate": 2e-2,
    "final_learning_rate": 2e-3,
    "warmup_steps": 0,
    "weight_decay": 0.0,
    "max_gradient_norm": 0.0,
    "threads": 1,
}
LAMBDA = 0.01
CONTENT = {"name": "content", "task": "content", "parameters": ["content"], "steps": 600}
MUTUAL = {"name": "mutual", "task": "mutual", "steps": 330}
# Its rounds would be nine tenths contents, of which the content side knows enough by then.
RECOMMEND = {
    "name": "recommend",
    "task": "recommend",
    "parameters": ["collaborative"],
    "steps": 300,
}
ALONE = {"parameters": ["collaborative"], "steps": 150}
SYSTEMS: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {
    "both sides": ({"mutual_weight": LAMBDA}, [CONTENT, MUTUAL, RECOMMEND]),
    "collaborative side alone": ({"content": "none"}, [MUTUAL | ALONE, RECOMMEND]),
    "content side alone": ({}, [CONTENT]),
}
"""Options and phases. The content side alone ranks by the embeddings that texts taught."""


def make_world(folder: Path, seed: int, **options: Any) -> Dataset:
    """Prepare a world with reviews."""
    return prepare(
        PrepareConfig(
            source="synthetic",
            output=folder,
            split="published",
            source_options=WORLD | {"seed": seed} | options,
        )
    )


def make_language_model(folder: Path, reviews: list[str], steps: int = 600) -> None:
    """Train a small language model on reviews of films and write it with its tokenizer."""
    texts = [_introduced(review) for review in reviews]
    tokenizer = _tokenizer(texts)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=256,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    random = np.random.default_rng(0)
    for _ in range(steps):
        chosen = [texts[n] for n in random.choice(len(texts), 32)]
        batch = tokenizer(chosen, return_tensors="pt", padding=True, padding_side="right")
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _introduced(review: str) -> str:
    """Return a review after words for its writer and its film, as CLLM4Rec's tokens stand there."""
    found = re.search(r"A (\w+) film .*, (.+)\. I like (\w+) films", review)
    assert found is not None
    genre, making, favourite = found.groups()
    return f"{favourite} writes the following review for {genre} {making}: {review}"


def _tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = ["#Answer: Yes", "#Answer: No", " has interacted with, will interact with"]
    tokenizer.train_from_iterator([*texts, *words * 50], trainer)
    start = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", start)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


def recipe(name: str, data: Path, model: Path, seed: int, share: float = 1.0) -> RunConfig:
    """Return the recipe of a system; a share of its steps makes it a quick one."""
    options, phases = SYSTEMS[name]
    shortened = [phase | {"steps": max(1, round(share * phase["steps"]))} for phase in phases]
    values = {
        "data": str(data),
        "system": {"name": "cllm4rec", "backbone": {"model": str(model)}, **options},
        "train": COURSE
        | {"phases": [phase | {"validate_every": -(-phase["steps"] // 15)} for phase in shortened]},
        "seed": seed,
    }
    return RunConfig.parse(values, name)


def measure(folder: Path, config: RunConfig) -> RankingTable:
    """Train a system and rank the catalogue for the test split."""
    train_run(config, folder)
    return rank_run(load_run(folder), "test", config=RankingConfig(cutoffs=CUTOFFS))


def main() -> None:
    """Measure every system on several worlds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3, help="worlds")
    parser.add_argument("--output", type=Path, default=Path("runs/cllm4rec"), help="for the runs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    metrics: dict[str, dict[str, list[float]]] = {}
    recipes = {}
    for seed in range(options.seeds):
        folder = options.output / f"world-{seed}"
        make_world(folder / "data", seed)
        other = make_world(folder / "other", seed + OTHER_WORLD)
        assert other.texts is not None
        make_language_model(folder / "model", other.texts["text"].to_list())
        for name in SYSTEMS:
            config = recipe(name, folder / "data", folder / "model", seed)
            recipes[name] = config
            table = measure(folder / name.replace(" ", "-"), config)
            (popularity,) = (each for each in table.references if each.name == "Popularity")
            for row, found in ((name, table.systems[0]), ("popularity", popularity)):
                values = metrics.setdefault(row, {})
                for metric, estimate in found.metrics.items():
                    if len(values.setdefault(metric, [])) == seed:
                        values[metric].append(estimate.value)
            console.print(seed, name, {k: round(v[-1], 4) for k, v in metrics[name].items()})
    write_json(
        RESULT, {"provenance": provenance(recipes), "seeds": options.seeds, "metrics": metrics}
    )


if __name__ == "__main__":
    main()
