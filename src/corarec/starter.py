"""A recipe to start from, sized to a dataset and to the language model that ships."""

from pathlib import Path
from typing import Any

import torch
import yaml

from corarec.backbone import BackboneConfig
from corarec.cf import FitConfig
from corarec.data import Dataset
from corarec.prompts import PromptConfig
from corarec.recipe import RunConfig, TrainConfig
from corarec.recommenders.cora import CoraSystem
from corarec.recommenders.vectors import VectorInputConfig
from corarec.text import printable

BATCH = 32
MOST_STEPS = 2_000


def quickstart_config(data: Path) -> RunConfig:
    """Return the recipe of the quickstart: late CoRA over ridge factors, for two cores."""
    return RunConfig(
        data=data,
        cf=FitConfig(model="als", options={"embedding_size": 8, "penalty": 16}),
        system=CoraSystem(
            backbone=_fast_backbone(),
            answer="yes-minus-no",
            prompt=PromptConfig(history_length=5),
            activation="title",
            vectors=VectorInputConfig(drop_half=0.8, product=True),
        ),
        train=TrainConfig(
            steps=300,
            batch_size=BATCH,
            learning_rate=2e-3,
            warmup_steps=10,
            validate_every=100,
            validation_rows=1_000,
        ),
    )


def starter_recipe(dataset: Dataset, data: Path) -> str:
    """Return the text of a recipe, with comments, for the dataset in the folder `data`."""
    train, valid = (dataset.card.counts[split] for split in ("train", "valid"))
    # So many that about six tenths of the training rows are seen once.
    steps = min(MOST_STEPS, max(60, round(0.6 * train.rows / BATCH / 60) * 60))
    cold = 1 - valid.warm / valid.rows
    backbone = _fast_backbone()
    return f"""\
# CoRA over ridge factors on {printable(dataset.card.name)}: {train.rows:,} training rows, \
{dataset.num_users:,} users, {dataset.num_items:,} items.
# Every key is explained in docs/recipe.md. Before training: corarec doctor THIS_FILE
{_line("data", str(data))}

# Collaborative filtering; `corarec options` lists the other models and their options.
cf: {{model: als, options: {{embedding_size: 8, penalty: 16}}}}

system:
  name: cora  # tallrec: text alone; icl: the language model untrained
  backbone:
    model: bundled  # or a name on the Hugging Face hub, or a folder
    dtype: {backbone.dtype}  # the fastest on the machine that wrote this: float32 or bfloat16
    {_line("attention", backbone.attention)}
  answer: yes-minus-no
  # Late activation: the increment acts from the title on, so that what stands before it is read
  # once for many items. `prompt` is the form of the paper.
  activation: title
  prompt:
    history_length: 5  # liked titles in a prompt; each one costs time
  vectors:
    # Share of the training rows that do without one half of the vectors, for new users and items:
    # {cold:.0%} of the validation rows have one.
    drop_half: {0.8 if cold > 0.25 else 0.5}
    product: true

train:
  steps: {steps}  # about {steps * BATCH / train.rows:.1f} times the training rows
  batch_size: {BATCH}
  learning_rate: 2.0e-3
  warmup_steps: {max(1, steps // 30)}
  validate_every: {steps // 3}  # every validation writes a checkpoint
  validation_rows: {min(2_000, valid.rows)}
seed: 0
"""


def _line(key: str, value: Any) -> str:
    return yaml.safe_dump({key: value}, allow_unicode=True, width=float("inf")).strip()


def _fast_backbone() -> BackboneConfig:
    """Return the bundled model in the precision that this machine multiplies fastest."""
    capabilities = torch.cpu.get_capabilities()
    if torch.cuda.is_available() or capabilities.get("avx512_bf16"):
        # On a CPU the plain attention has the faster backward pass in bfloat16.
        return BackboneConfig(dtype="bfloat16", attention="eager")
    return BackboneConfig()
