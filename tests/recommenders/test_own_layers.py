"""A language model whose layers bear names that are not known, adapted by `system.layers`."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Mamba2Config, Mamba2ForCausalLM, PreTrainedTokenizerFast

from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.recipe import RunConfig
from corarec.recommenders.cora import CoraRecommender
from corarec.runs import load_run
from corarec.train import train_run

LAYERS = [{"path": "backbone.layers.*.mixer.in_proj", "roles": ["up"]}]


@pytest.fixture(scope="module")
def recurrent(
    tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer: PreTrainedTokenizerFast
) -> Path:
    folder = tmp_path_factory.mktemp("recurrent")
    torch.manual_seed(0)
    config = Mamba2Config(
        vocab_size=len(tiny_tokenizer), hidden_size=32, num_hidden_layers=2, num_heads=8,
        head_dim=8, state_size=8, n_groups=1, pad_token_id=1, initializer_range=0.1,
    )  # fmt: skip
    Mamba2ForCausalLM(config).save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


def _recipe(recipe: dict[str, Any], backbone: Path, **system: Any) -> RunConfig:
    changed = recipe | {
        "system": {"name": "cora", "rank": 2, "backbone": {"model": str(backbone)}, **system},
        "train": recipe["train"] | {"steps": 2, "validate_every": 1},
    }
    return RunConfig.parse(changed, "the test")


def test_layers_of_a_recipe_are_adapted_trained_and_reopened(
    recipe: dict[str, Any], recurrent: Path, small_world: Dataset, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"no attention.*mixer\.in_proj"):
        train_run(_recipe(recipe, recurrent), tmp_path / "refused")
    folder = tmp_path / "run"
    train_run(_recipe(recipe, recurrent, layers=LAYERS, targets=["up"]), folder)
    run = load_run(folder)
    assert isinstance(run.recommender, CoraRecommender)
    names = sorted(run.recommender.model.targeted_module_names)
    assert names == [f"backbone.layers.{block}.mixer.in_proj" for block in range(2)]
    moved = [
        bool(weight.any())
        for name, weight in run.recommender.model.named_parameters()
        if "cora_projection" in name
    ]
    assert moved == [True, True]
    pairs = small_world.pairs(small_world.rows("valid")[:6])
    again = load_run(folder)
    np.testing.assert_array_equal(run.scorer.score(pairs), again.scorer.score(pairs))
