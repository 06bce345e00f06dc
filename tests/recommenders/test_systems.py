"""What every system must do, checked for each of them."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from corarec.cf import FitConfig, VectorSource, fit_cf
from corarec.data import Dataset
from corarec.errors import ArtifactError, ConfigError
from corarec.recommenders import TrainingData, build_recommender
from corarec.recommenders.binllm import BinLLMSystem
from corarec.recommenders.collm import CoLLMSystem
from corarec.recommenders.cora import CoraRecommender, CoraSystem
from corarec.recommenders.icl import ICLSystem
from corarec.recommenders.llm import PromptRecommender
from corarec.recommenders.personprompt import PersonPromptSystem
from corarec.recommenders.prompt4nr import Prompt4NRSystem
from corarec.recommenders.tallrec import TALLRecSystem
from corarec.recommenders.vectors import UserShuffle
from corarec.score.scorer import Scorer
from corarec.types import IntArray


def some_rows(dataset: Dataset) -> IntArray:
    return dataset.rows("valid")[:12]


class SystemContract:
    """Subclass it with a config class; see CONTRIBUTING."""

    system: ClassVar[Any]
    options: ClassVar[dict[str, Any]] = {}
    starts_frozen: ClassVar[bool] = True
    """Whether an untrained system says what the frozen model says to the same prompt."""
    cf_model: ClassVar[str] = "mf-b"
    """The kind of CF model that it reads."""

    @pytest.fixture
    def cf(self, small_world: Dataset) -> VectorSource:
        options = {"embedding_size": 4, "max_epochs": 5}
        model, _ = fit_cf(small_world, FitConfig(model=self.cf_model, options=options))
        return VectorSource(model, small_world)

    @pytest.fixture
    def recommender(
        self, small_world: Dataset, cf: VectorSource, tiny_backbone: Path
    ) -> PromptRecommender:
        return self.build(small_world, cf, tiny_backbone)

    def build(self, dataset: Dataset, cf: VectorSource, backbone: Path) -> PromptRecommender:
        config = self.system(backbone={"model": str(backbone)}, **self.options)
        return build_recommender(config, dataset, cf, seed=1)

    def train_a_little(self, recommender: PromptRecommender, dataset: Dataset) -> None:
        rows = dataset.rows("train")
        recommender.prepare(TrainingData(dataset, rows, rows))
        trained = [p for p in recommender.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=1.0)
        inputs = recommender.inputs(dataset.pairs("train"))
        for first in (0, 8):
            optimizer.zero_grad()
            recommender.logits(**inputs.batch(np.arange(first, first + 8))).sum().backward()
            optimizer.step()

    def test_scores_do_not_depend_on_company(
        self, recommender: PromptRecommender, small_world: Dataset
    ) -> None:
        pairs = small_world.pairs(some_rows(small_world))
        together = Scorer(recommender).score(pairs)
        alone = [Scorer(recommender).score(pairs.take(np.array([n])))[0] for n in range(len(pairs))]
        np.testing.assert_allclose(together, alone, atol=2e-5)

    def test_an_untrained_system_says_what_the_frozen_model_says(
        self, recommender: PromptRecommender, small_world: Dataset, tiny_backbone: Path
    ) -> None:
        if not self.starts_frozen:
            pytest.skip("soft tokens speak from the beginning")
        pairs = small_world.pairs(some_rows(small_world))
        frozen_config = ICLSystem(
            backbone={"model": str(tiny_backbone)},
            answer=recommender.answer,
        )
        frozen = build_recommender(frozen_config, small_world)
        np.testing.assert_array_equal(Scorer(recommender).score(pairs), Scorer(frozen).score(pairs))

    def test_saving_and_loading_keeps_every_score(
        self,
        recommender: PromptRecommender,
        small_world: Dataset,
        cf: VectorSource,
        tiny_backbone: Path,
        tmp_path: Path,
    ) -> None:
        pairs = small_world.pairs(some_rows(small_world))
        before = Scorer(recommender).score(pairs)
        self.train_a_little(recommender, small_world)
        after = Scorer(recommender).score(pairs)
        assert not np.allclose(before, after)
        recommender.save(tmp_path)
        fresh = self.build(small_world, cf, tiny_backbone)
        fresh.load(tmp_path)
        np.testing.assert_array_equal(Scorer(fresh).score(pairs), after)
        size = sum(file.stat().st_size for file in tmp_path.iterdir())
        assert size < 8 * recommender.trainable_parameters() + 60_000

    def test_a_checkpoint_of_another_backbone_is_refused(
        self,
        recommender: PromptRecommender,
        small_world: Dataset,
        cf: VectorSource,
        tiny_backbone: Path,
        tmp_path: Path,
    ) -> None:
        recommender.save(tmp_path)
        config = self.system(
            backbone={"model": str(tiny_backbone), "random_weights": True, "seed": 5},
            **self.options,
        )
        other = build_recommender(config, small_world, cf)
        with pytest.raises(ArtifactError, match="trained on the frozen model LlamaForCausalLM-"):
            other.load(tmp_path)

    def test_a_damaged_checkpoint_is_refused(
        self, recommender: PromptRecommender, tmp_path: Path
    ) -> None:
        recommender.save(tmp_path)
        files = sorted(tmp_path.glob("*.safetensors"))
        assert files
        for path in files:
            whole = path.read_bytes()
            path.write_bytes(whole[:-3])
            with pytest.raises(ArtifactError, match="cannot be read"):
                recommender.load(tmp_path)
            path.write_bytes(whole)
        recommender.load(tmp_path)

    def test_gradient_checkpointing_changes_no_gradient(
        self, recommender: PromptRecommender, small_world: Dataset
    ) -> None:
        self.train_a_little(recommender, small_world)
        batch = recommender.inputs(small_world.pairs("train")).batch(np.arange(6))
        gradients = []
        for checkpointing in (False, True):
            if checkpointing:
                recommender.enable_gradient_checkpointing()
            recommender.zero_grad()
            torch.manual_seed(0)
            recommender.train()
            recommender.logits(**batch).sum().backward()
            gradients.append(
                [p.grad.clone() for p in recommender.parameters() if p.grad is not None]
            )
        for plain, recomputed in zip(*gradients, strict=True):
            torch.testing.assert_close(plain, recomputed, rtol=1e-4, atol=1e-6)


class TestCora(SystemContract):
    system = CoraSystem
    options: ClassVar[dict[str, Any]] = {"rank": 2}

    def test_it_needs_a_cf_model(self, small_world: Dataset, tiny_backbone: Path) -> None:
        config = CoraSystem(backbone={"model": str(tiny_backbone)})
        with pytest.raises(ConfigError, match="Name one under `cf`"):
            build_recommender(config, small_world)

    def test_the_pair_of_vectors_moves_the_score(
        self, recommender: CoraRecommender, small_world: Dataset, cf: VectorSource
    ) -> None:
        self.train_a_little(recommender, small_world)
        pairs = small_world.pairs(some_rows(small_world))
        before = Scorer(recommender).score(pairs)
        recommender.shuffle = UserShuffle(small_world.pairs("train"), seed=3)
        assert np.abs(Scorer(recommender).score(pairs) - before).max() > 1e-5

    def test_compiled_blocks_compute_the_same(
        self,
        recommender: CoraRecommender,
        small_world: Dataset,
        cf: VectorSource,
        tiny_backbone: Path,
    ) -> None:
        config = CoraSystem(backbone={"model": str(tiny_backbone), "compile": True}, rank=2)
        compiled = build_recommender(config, small_world, cf, seed=1)
        inputs = recommender.inputs(small_world.pairs("train"))
        # A second batch of another shape, since the blocks are compiled for any.
        for rows in (np.arange(6), np.arange(6, 10)):
            outputs = []
            batch = inputs.batch(rows)
            for vectors in ("user_vectors", "item_vectors"):
                batch[vectors] = batch[vectors].double()
            # In double precision, since this model's gradients are as small as float32's rounding.
            for system in (recommender.double().eval(), compiled.double().eval()):
                random = torch.Generator().manual_seed(0)
                system.zero_grad()
                projections = [p for n, p in system.named_parameters() if "projection" in n]
                for projection in projections:
                    projection.data.normal_(std=0.1, generator=random)
                logits = system.logits(**batch)
                logits.sum().backward()
                outputs.append([logits.detach(), *(p.grad for p in projections)])
            for plain, fused in zip(*outputs, strict=True):
                assert (plain - fused).abs().max() <= 1e-4 * plain.abs().max()


class TestLateCora(SystemContract):
    system = CoraSystem
    options: ClassVar[dict[str, Any]] = {"rank": 2, "activation": "title"}

    def test_the_history_is_read_by_the_frozen_model(
        self, recommender: CoraRecommender, small_world: Dataset
    ) -> None:
        self.train_a_little(recommender, small_world)
        recommender.eval()
        batch = recommender.inputs(small_world.pairs(some_rows(small_world)[:1])).batch(
            np.array([0])
        )
        start = int(batch["title_start"][0])
        states = []
        for vectors in (batch["user_vectors"], batch["user_vectors"] + 1):
            e = recommender.vector_input(vectors, batch["item_vectors"])
            active = torch.arange(batch["input_ids"].shape[1])[None] >= start
            with torch.no_grad():
                logits = recommender.model(
                    input_ids=batch["input_ids"], cf_vectors=e, cf_active=active
                ).logits
            states.append(logits[0])
        assert torch.equal(states[0][:start], states[1][:start])
        assert not torch.equal(states[0][start:], states[1][start:])


class TestTALLRec(SystemContract):
    system = TALLRecSystem

    def test_layers_that_the_model_does_not_have(
        self, small_world: Dataset, tiny_backbone: Path
    ) -> None:
        config = TALLRecSystem(backbone={"model": str(tiny_backbone)}, targets=("no_proj",))
        with pytest.raises(ConfigError, match="no_proj.*Set system.targets"):
            build_recommender(config, small_world)


class TestPrompt4NR(SystemContract):
    system = Prompt4NRSystem
    starts_frozen = False


class TestCoLLM(SystemContract):
    system = CoLLMSystem
    starts_frozen = False


class TestCoLLMWithTrainedCF(SystemContract):
    system = CoLLMSystem
    options: ClassVar[dict[str, Any]] = {"train_cf": True}
    starts_frozen = False


class TestBinLLM(SystemContract):
    system = BinLLMSystem
    cf_model = "binary-mf"
    starts_frozen = False


class TestPersonPrompt(SystemContract):
    system = PersonPromptSystem
    starts_frozen = False


def test_icl_trains_nothing(small_world: Dataset, tiny_backbone: Path) -> None:
    config = ICLSystem(backbone={"model": str(tiny_backbone)})
    recommender = build_recommender(config, small_world)
    assert recommender.trainable_parameters() == 0
    scores = Scorer(recommender).score(small_world.pairs("valid"))
    yes = build_recommender(config.model_copy(update={"answer": "yes"}), small_world)
    assert not np.allclose(scores, Scorer(yes).score(small_world.pairs("valid")))
