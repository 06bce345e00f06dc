"""What several rooms' tests need."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from corarec.cf import CF_MODELS
from corarec.data import Dataset, PrepareConfig, prepare
from corarec.recipe import RunConfig
from corarec.testing.language import save_tiny_backbone
from corarec.testing.language import tiny_tokenizer as tiny_tokenizer_of_tests
from corarec.train import train_run
from corarec.types import Histories, Pairs, ScoreTable

MakeTable = Callable[..., ScoreTable]
MakePairs = Callable[..., Pairs]
TinyRecipe = Callable[[dict[str, Any], Path | str], dict[str, Any]]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of real data beside the project, where there is one."""
    default = Path(__file__).parents[1].parent / "shared"
    folder = Path(os.environ.get("CORAREC_SHARED", default))
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} does not exist (set CORAREC_SHARED)")
    return folder


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE with a start token, in which " Yes" and " No" are one token each."""
    return tiny_tokenizer_of_tests()


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a random two-layer Llama with the tiny tokenizer."""
    folder = tmp_path_factory.mktemp("backbone")
    save_tiny_backbone(folder)
    return folder


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return a synthetic world of a thousand interactions, with strangers, on disk and open."""
    folder = tmp_path_factory.mktemp("data") / "world"
    size = {"num_users": 60, "num_items": 50, "interactions_per_user": 20}
    return prepare(
        PrepareConfig(source="synthetic", output=folder, split="published", source_options=size)
    )


@pytest.fixture(scope="session")
def small_world_path(small_world: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of `small_world`."""
    folder = tmp_path_factory.mktemp("data") / "world"
    small_world.save(folder)
    return folder


@pytest.fixture(scope="session")
def recipe(small_world_path: Path, tiny_backbone: Path) -> dict[str, Any]:
    """Return a recipe that trains CoRA in seconds."""
    return {
        "data": str(small_world_path),
        "cf": {"model": "mf-b", "options": {"embedding_size": 4, "max_epochs": 5}},
        "system": {"name": "cora", "backbone": {"model": str(tiny_backbone)}, "rank": 2},
        "train": {
            "steps": 6,
            "batch_size": 8,
            "warmup_steps": 1,
            "validate_every": 3,
            "validation_rows": 50,
            "threads": 1,
        },
    }


@pytest.fixture(scope="session")
def tiny_recipe(tiny_backbone: Path) -> TinyRecipe:
    """Make a recipe tiny: two steps a phase on other data, with a tiny language model.

    Another folder, model, device and amount of work: all else is as the recipe says. Compiling is
    left out, which takes longer than all the rest.
    """

    def few_epochs(cf: dict[str, Any]) -> dict[str, Any]:
        """Fit a CF model, and those that it is made of, for one epoch."""
        options = dict(cf.get("options") or {})
        if "max_epochs" in CF_MODELS[cf["model"]].config_class.model_fields:
            options["max_epochs"] = 1
        if "components" in options:
            options["components"] = [few_epochs(part) for part in options["components"]]
        return cf | {"options": options}

    def make(recipe: dict[str, Any], data: Path | str) -> dict[str, Any]:
        few = {"steps": 2, "validate_every": 2, "batch_size": 4}
        backbone = {"model": str(tiny_backbone), "device_map": None, "compile": False}
        system = dict(recipe["system"])
        system["backbone"] = system.get("backbone", {}) | backbone
        train = recipe.get("train", {}) | few | {"validation_rows": 20}
        train["phases"] = [phase | few for phase in train.get("phases", ())]
        names = [phase["name"] for phase in train["phases"]]
        for phase in train["phases"]:
            if phase.get("init_from") not in names:
                phase.pop("init_from", None)  # another recipe's run
        fitted = {"cf": few_epochs(recipe["cf"])} if recipe.get("cf") else {}
        return recipe | fitted | {"data": str(data), "system": system, "train": train}

    return make


@pytest.fixture(scope="session")
def trained_run(recipe: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a trained run of `recipe`."""
    folder = tmp_path_factory.mktemp("runs") / "cora"
    train_run(RunConfig.parse(recipe, "the fixture"), folder)
    return folder


@pytest.fixture
def tiny_model(tiny_tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Return a random Llama of one layer."""
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tiny_tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=256,
        )
    )


@pytest.fixture
def tiny_folder(
    tmp_path: Path, tiny_model: LlamaForCausalLM, tiny_tokenizer: PreTrainedTokenizerFast
) -> Path:
    """Return a folder that holds the tiny model and its tokenizer."""
    folder = tmp_path / "tiny"
    tiny_model.save_pretrained(folder)
    tiny_tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def make_table() -> MakeTable:
    """Build a score table from lists; items count up and all rows are warm unless said."""

    def make(
        users: Sequence[int],
        labels: Sequence[int],
        scores: Sequence[float],
        items: Sequence[int] | None = None,
        warm: Sequence[bool] | None = None,
    ) -> ScoreTable:
        return ScoreTable(
            user_ids=np.array(users, dtype=np.int64),
            item_ids=np.array(items or range(1, len(users) + 1), dtype=np.int64),
            labels=np.array(labels, dtype=np.int64),
            warm=np.array(warm or [True] * len(users), dtype=np.bool_),
            scores=np.array(scores, dtype=np.float64),
        )

    return make


@pytest.fixture
def random_table(make_table: MakeTable) -> MakeTable:
    """Build a seeded table with ties, one-label users and users with one row."""

    def make(rows: int = 400, users: int = 40, seed: int = 0, signal: float = 1.0) -> ScoreTable:
        generator = np.random.default_rng(seed)
        labels = generator.integers(0, 2, rows)
        scores = np.round(generator.normal(size=rows) + signal * labels, 1)
        user_ids = np.minimum(generator.geometric(0.05, rows), users)
        return make_table(
            user_ids.tolist(),
            labels.tolist(),
            scores.tolist(),
            warm=(generator.random(rows) < 0.6).tolist(),
        )

    return make


@pytest.fixture
def make_pairs() -> MakePairs:
    """Build pairs from lists, with empty histories unless said."""

    def make(
        users: Sequence[int], items: Sequence[int], histories: Sequence[Sequence[int]] | None = None
    ) -> Pairs:
        return Pairs(
            user_ids=np.array(users, dtype=np.int64),
            item_ids=np.array(items, dtype=np.int64),
            histories=Histories.from_lists(histories or [[]] * len(users)),
        )

    return make
