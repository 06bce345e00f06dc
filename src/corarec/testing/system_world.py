"""The small world of the contract of systems: data, models, a system, and a little training."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from corarec.cf import FitConfig, VectorSource, fit_cf
from corarec.data import Dataset, PrepareConfig, prepare
from corarec.recommenders import RECOMMENDERS, TrainingData, build_recommender
from corarec.recommenders.language import LanguageRecommender, LanguageSystem
from corarec.recommenders.llm import PromptSystem
from corarec.recommenders.pointwise import PointwiseRecommender
from corarec.testing.language import save_tiny_backbone
from corarec.types import IntArray, Pairs


def some_rows(dataset: Dataset) -> IntArray:
    """Return the numbers of twelve validation rows."""
    return dataset.rows("valid")[:12]


class SystemWorld:
    """A small world, a system in it, and some training; a subclass names the system."""

    system: ClassVar[str]
    """The name by which a recipe chooses it."""
    options: ClassVar[dict[str, Any]] = {}
    starts_frozen: ClassVar[bool] = True
    """Whether what the system puts on the language model changes no answer before training."""
    cf_model: ClassVar[str] = "mf-b"
    """The kind of CF model that it reads."""
    prompt: ClassVar[dict[str, Any]] = {"history_length": 2}
    """Of its config; the shorter, the quicker are the tests."""
    learning_rate: ClassVar[float] = 0.02
    """Of the test that learns eight rows by heart."""
    steps: ClassVar[int] = 30
    """Of the same test."""
    step_size: ClassVar[float] = 1.0
    """Of the two steps of plain gradient descent that most tests begin with."""
    trains: ClassVar[bool] = True
    """Whether the system has anything to train."""
    changes_general_text: ClassVar[bool | None] = None
    """Whether training moves what the language model says of text that is no prompt of the system;
    None: it does where PEFT put a LoRA on it."""
    reads_titles: ClassVar[bool] = True
    """Whether it tells new items apart by their titles."""

    @pytest.fixture(scope="class")
    @classmethod
    def small_world(cls, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
        """Return a made-up world of 1,200 interactions."""
        size = {"num_users": 60, "num_items": 50, "interactions_per_user": 20}
        folder = tmp_path_factory.mktemp("data") / "world"
        return prepare(
            PrepareConfig(source="synthetic", output=folder, split="published", source_options=size)
        )

    @pytest.fixture(scope="class")
    @classmethod
    def tiny_backbone(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """Return the folder of a random language model of two layers."""
        folder = tmp_path_factory.mktemp("backbone")
        save_tiny_backbone(folder)
        return folder

    @pytest.fixture(scope="class")
    @classmethod
    def cf(cls, small_world: Dataset) -> VectorSource:
        """Return a CF model fitted for five epochs."""
        options = {"embedding_size": 4, "max_epochs": 5}
        model, _ = fit_cf(small_world, FitConfig(model=cls.cf_model, options=options))
        return VectorSource(model, small_world)

    @pytest.fixture
    def pairs(self, small_world: Dataset) -> Pairs:
        """Return twelve validation pairs."""
        return small_world.pairs(some_rows(small_world))

    @pytest.fixture
    def recommender(
        self, small_world: Dataset, cf: VectorSource, tiny_backbone: Path
    ) -> LanguageRecommender:
        """Return the system, untrained."""
        return self.build(small_world, cf, tiny_backbone)

    def build(
        self, dataset: Dataset, cf: VectorSource, backbone: Path, seed: int = 1
    ) -> LanguageRecommender:
        return build_recommender(self.config({"model": str(backbone)}), dataset, cf, seed=seed)

    def config(self, backbone: dict[str, Any]) -> LanguageSystem:
        """Return the config of the system around a language model."""
        kind = RECOMMENDERS[self.system].config_class
        prompt = {"prompt": self.prompt} if issubclass(kind, PromptSystem) else {}
        values = {"name": self.system, "backbone": backbone, **prompt}
        return kind.model_validate(values | self.options)

    def train_a_little(self, recommender: LanguageRecommender, dataset: Dataset) -> None:
        """Take two steps on eight rows each, of plain gradient descent."""
        rows = dataset.rows("train")
        data = TrainingData(dataset, rows, rows)
        recommender.prepare(data)
        trained = [p for p in recommender.parameters() if p.requires_grad]
        assert bool(trained) == self.trains
        if not trained:
            return
        optimizer = torch.optim.SGD(trained, lr=self.step_size)
        # By the logits of pairs where the system learns from such, else by its own loss.
        by_pairs = isinstance(recommender, PointwiseRecommender)
        learned = recommender.inputs(dataset.pairs(rows[:16])) if by_pairs else None
        examples = learned or recommender.examples(data)
        loss = recommender.logits if by_pairs else recommender
        for first in (0, 8):
            optimizer.zero_grad()
            loss(**examples.batch(np.arange(first, first + 8))).sum().backward()
            optimizer.step()
