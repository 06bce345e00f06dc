"""The contract of the systems that ship, and what is particular to each."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from corarec.cf import VectorSource
from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.recommenders import RECOMMENDERS, build_recommender
from corarec.recommenders.cora import CoraRecommender, CoraSystem
from corarec.recommenders.icl import ICLSystem
from corarec.recommenders.llm import PromptRecommender
from corarec.recommenders.tallrec import TALLRecSystem
from corarec.recommenders.vectors import UserShuffle
from corarec.score.scorer import Scorer
from corarec.testing import SystemConformance
from corarec.testing.systems import some_rows

# Short, since the tiny tokenizer makes a token of nearly every letter.
PLAIN = {"template": "{history}: {title}? Answer:", "history_length": 2}
FEATURES = {"template": "{history} by {user}: {item} {title}? Answer:", "history_length": 2}


def open_up(recommender: PromptRecommender) -> list[torch.nn.Parameter]:
    """Give the projections, which start at zero, values that let the CF vectors through."""
    random = torch.Generator().manual_seed(0)
    projections = [p for name, p in recommender.named_parameters() if "projection" in name]
    for projection in projections:
        projection.data.normal_(std=0.1, generator=random)
    return projections


class TestCora(SystemConformance):
    system, prompt = "cora", PLAIN
    options: ClassVar[dict[str, Any]] = {"rank": 4}

    def test_it_needs_a_cf_model(self, small_world: Dataset, tiny_backbone: Path) -> None:
        config = CoraSystem(backbone={"model": str(tiny_backbone)})
        with pytest.raises(ConfigError, match="Name one under `cf`"):
            build_recommender(config, small_world)

    def test_the_pair_of_vectors_moves_the_score(
        self, recommender: CoraRecommender, small_world: Dataset, cf: VectorSource
    ) -> None:
        open_up(recommender)
        pairs = small_world.pairs(some_rows(small_world))
        before = Scorer(recommender).score(pairs)
        recommender.shuffle = UserShuffle(small_world.pairs("train"), seed=3)
        assert np.abs(Scorer(recommender).score(pairs) - before).max() > 1e-3

    def test_a_pair_bends_general_text_and_its_own_prompt_as_in_scoring(
        self, recommender: CoraRecommender, small_world: Dataset
    ) -> None:
        open_up(recommender)
        pairs = small_world.pairs(some_rows(small_world))
        ids = torch.arange(3, 43).expand(3, -1)
        seen = []
        with torch.inference_mode():
            for pair in (None, pairs.take(np.array([0])), pairs.take(np.array([1]))):
                with recommender.language_model(pair) as model:
                    seen.append(model(input_ids=ids).logits)
            for first, second in ((0, 1), (0, 2), (1, 2)):
                assert (seen[first] - seen[second]).abs().max() > 1e-4
            one = pairs.take(np.array([3]))
            batch = recommender.inputs(one).batch(np.array([0]))
            wanted = recommender.logits(**batch)
            with recommender.language_model(one) as model:
                last = model(**recommender.model_input(**batch)).logits[0, -1]
                words = model.generate(
                    input_ids=batch["input_ids"].expand(2, -1), max_new_tokens=3, do_sample=False
                )
        assert float(last[recommender.answers.yes]) == pytest.approx(float(wanted), abs=1e-5)
        assert torch.equal(words[0], words[1])
        assert int(words[0, batch["input_ids"].shape[1]]) == int(last.argmax())

    def test_late_activation_has_no_increment_of_general_text(
        self, small_world: Dataset, cf: VectorSource, tiny_backbone: Path
    ) -> None:
        config = CoraSystem(backbone={"model": str(tiny_backbone)}, activation="title")
        late = build_recommender(config, small_world, cf)
        pair = small_world.pairs(some_rows(small_world)[:1])
        with (
            pytest.raises(ConfigError, match=r"late activation .* general text has none"),
            late.language_model(pair),
        ):
            pass

    def test_compiled_blocks_compute_the_same(
        self,
        recommender: CoraRecommender,
        small_world: Dataset,
        cf: VectorSource,
        tiny_backbone: Path,
    ) -> None:
        config = self.config({"model": str(tiny_backbone), "compile": True})
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
                system.zero_grad()
                projections = open_up(system)
                logits = system.logits(**batch)
                logits.sum().backward()
                outputs.append([logits.detach(), *(p.grad for p in projections)])
            for plain, fused in zip(*outputs, strict=True):
                assert (plain - fused).abs().max() <= 1e-4 * plain.abs().max()


class TestLateCora(SystemConformance):
    system, prompt = "cora", PLAIN
    options: ClassVar[dict[str, Any]] = {"rank": 4, "activation": "title"}

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


class TestTALLRec(SystemConformance):
    system, prompt = "tallrec", PLAIN

    def test_layers_that_the_model_does_not_have(
        self, small_world: Dataset, tiny_backbone: Path
    ) -> None:
        config = TALLRecSystem(backbone={"model": str(tiny_backbone)}, targets=("no_proj",))
        with pytest.raises(ConfigError, match="no_proj.*Set system.targets"):
            build_recommender(config, small_world)


class TestPrompt4NR(SystemConformance):
    system, prompt = "prompt4nr", FEATURES


class TestCoLLM(SystemConformance):
    system, prompt = "collm", FEATURES


class TestCoLLMWithTrainedCF(SystemConformance):
    system, prompt = "collm", FEATURES
    options: ClassVar[dict[str, Any]] = {"train_cf": True}


class TestBinLLM(SystemConformance):
    system, prompt = "binllm", FEATURES
    cf_model = "binary-mf"


class TestPersonPrompt(SystemConformance):
    system, prompt = "personprompt", FEATURES


class TestICL(SystemConformance):
    system, prompt = "icl", PLAIN
    trains = False
    options: ClassVar[dict[str, Any]] = {"answer": "yes"}


def test_every_system_is_tested() -> None:
    mine = [each for each in SystemConformance.__subclasses__() if each.__module__ == __name__]
    assert {each.system for each in mine} == set(RECOMMENDERS.built_in)


def test_icl_trains_nothing(small_world: Dataset, tiny_backbone: Path) -> None:
    config = ICLSystem(backbone={"model": str(tiny_backbone)})
    recommender = build_recommender(config, small_world)
    assert recommender.trainable_parameters() == 0
    scores = Scorer(recommender).score(small_world.pairs("valid"))
    yes = build_recommender(config.model_copy(update={"answer": "yes"}), small_world)
    assert not np.allclose(scores, Scorer(yes).score(small_world.pairs("valid")))
