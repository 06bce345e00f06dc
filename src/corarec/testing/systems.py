"""The contract of every system, as tests."""

import random
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import PeftModel
from torch._dynamo.utils import counters

from corarec.backbone import load_backbone
from corarec.cf import VectorSource
from corarec.data import Dataset
from corarec.errors import ArtifactError, ConfigError, DataError
from corarec.recommenders import RECOMMENDERS, TrainingData, build_recommender
from corarec.recommenders.icl import ICLSystem
from corarec.recommenders.language import LanguageRecommender
from corarec.recommenders.llm import PromptSystem
from corarec.recommenders.phase import Phase
from corarec.recommenders.pointwise import PointwiseRecommender
from corarec.score.batches import batched, score_batches
from corarec.score.context import Context
from corarec.score.ranker import Ranker, SharingSystem
from corarec.score.scorer import Scorer
from corarec.testing.system_world import SystemWorld
from corarec.types import FloatArray, Histories, Pairs


def _scores(recommender: LanguageRecommender, pairs: Pairs, *new_titles: str) -> FloatArray:
    return Scorer(recommender).score(pairs, new_titles=new_titles)


def _values(recommender: LanguageRecommender) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in recommender.named_parameters()}


class SystemConformance(SystemWorld):
    """What every system promises; a subclass names a system and its options."""

    def test_scores_do_not_depend_on_company(
        self, recommender: LanguageRecommender, small_world: Dataset, pairs: Pairs
    ) -> None:
        self.train_a_little(recommender, small_world)
        together = _scores(recommender, pairs)
        alone = [_scores(recommender, pairs.take(np.array([n])))[0] for n in range(len(pairs))]
        np.testing.assert_allclose(together, alone, atol=5e-5)

    def test_scores_are_its_logits(
        self, recommender: LanguageRecommender, small_world: Dataset, pairs: Pairs
    ) -> None:
        """However scoring saves work."""
        self.train_a_little(recommender, small_world)
        plain = score_batches(recommender, batched(recommender.inputs(pairs)), pairs)
        np.testing.assert_allclose(_scores(recommender, pairs), plain, atol=1e-5)

    def test_prompts_are_padded_on_the_left(
        self, recommender: LanguageRecommender, small_world: Dataset, pairs: Pairs
    ) -> None:
        self.train_a_little(recommender, small_world)
        # A long prompt beside a short one, which has no history.
        two = Histories.from_lists([[1, 2], []])
        few = replace(pairs.take(np.array([0, 1])), histories=two, rows=None)
        batch = recommender.inputs(few).batch(np.array([0, 1]))
        mask = batch["attention_mask"].bool()
        assert mask[:, -1].all()
        assert not mask[1, 0]
        assert torch.equal(mask, mask.cummax(dim=1).values)
        with torch.inference_mode():
            together = recommender.logits(**batch)
            alone = recommender.logits(**recommender.inputs(few).batch(np.array([1])))
        torch.testing.assert_close(together[1:], alone, atol=5e-5, rtol=0)

    def test_an_untrained_system_leaves_the_answers_of_the_frozen_model(
        self,
        recommender: LanguageRecommender,
        small_world: Dataset,
        pairs: Pairs,
        tiny_backbone: Path,
    ) -> None:
        scores = _scores(recommender, pairs)
        model = recommender.model
        with model.disable_adapter() if isinstance(model, PeftModel) else nullcontext():
            same = np.array_equal(_scores(recommender, pairs), scores)
        assert same == self.starts_frozen
        config = self.config({"model": str(tiny_backbone)})
        if (
            isinstance(config, PromptSystem) and not config.added_slots
        ):  # so that the frozen model can read the same prompt
            plain = ICLSystem(backbone=config.backbone, prompt=config.prompt, answer=config.answer)
            frozen = build_recommender(plain, small_world)
            assert np.array_equal(_scores(frozen, pairs), scores) == self.starts_frozen

    def test_scoring_compiles_nothing_so_that_bits_depend_on_no_earlier_pass(
        self, small_world: Dataset, cf: VectorSource, pairs: Pairs, tiny_backbone: Path
    ) -> None:
        plain, compiled = (
            build_recommender(
                self.config({"model": str(tiny_backbone), "compile": fused}),
                small_world,
                cf,
                seed=1,
            )
            for fused in (False, True)
        )
        counters.clear()
        for system, same in ((compiled, plain), (compiled.frozen(), plain.frozen())):
            if system is not None and same is not None:
                found = Scorer(system).score(pairs)
                np.testing.assert_array_equal(found, Scorer(same).score(pairs))
        assert not counters["frames"]

    def test_general_text_is_answered_by_the_frozen_model_or_under_its_lora(
        self,
        recommender: LanguageRecommender,
        small_world: Dataset,
        pairs: Pairs,
        tiny_backbone: Path,
    ) -> None:
        self.train_a_little(recommender, small_world)
        before = _scores(recommender, pairs)
        ids = torch.arange(3, 43)[None]
        untouched = load_backbone(self.config({"model": str(tiny_backbone)}).backbone).model
        recommender.train()
        with torch.inference_mode(), recommender.language_model() as model:
            assert not model.training
            same = torch.equal(model(input_ids=ids).logits, untouched(input_ids=ids).logits)
        adapter = getattr(recommender.model, "active_peft_config", None)
        changes = self.changes_general_text
        if changes is None:
            changes = adapter is not None and adapter.peft_type == "LORA"
        assert same != changes
        assert recommender.model.training
        recommender.eval()
        np.testing.assert_array_equal(_scores(recommender, pairs), before)

    def test_saving_and_loading_keeps_every_score(
        self,
        recommender: LanguageRecommender,
        small_world: Dataset,
        cf: VectorSource,
        tiny_backbone: Path,
        pairs: Pairs,
        tmp_path: Path,
    ) -> None:
        before = _scores(recommender, pairs)
        self.train_a_little(recommender, small_world)
        after = _scores(recommender, pairs)
        assert np.allclose(before, after) == (not self.trains)
        recommender.save(tmp_path)
        # Of another seed: whatever is not saved would differ.
        fresh = self.build(small_world, cf, tiny_backbone, seed=2)
        fresh.load(tmp_path)
        np.testing.assert_array_equal(_scores(fresh, pairs), after)
        size = sum(file.stat().st_size for file in tmp_path.iterdir())
        assert size < 8 * recommender.trainable_parameters() + 60_000

    def test_a_checkpoint_of_another_backbone_is_refused(
        self,
        recommender: LanguageRecommender,
        small_world: Dataset,
        cf: VectorSource,
        tiny_backbone: Path,
        tmp_path: Path,
    ) -> None:
        recommender.save(tmp_path)
        config = self.config({"model": str(tiny_backbone), "random_weights": True, "seed": 5})
        other = build_recommender(config, small_world, cf)
        if not self.trains:
            other.load(tmp_path)  # nothing was trained, so nothing is bound to a model
            assert list(tmp_path.iterdir()) == []
            return
        with pytest.raises(ArtifactError, match="trained on the frozen model LlamaForCausalLM-"):
            other.load(tmp_path)

    def test_a_damaged_checkpoint_is_refused(
        self, recommender: LanguageRecommender, tmp_path: Path
    ) -> None:
        recommender.save(tmp_path)
        files = sorted(tmp_path.glob("*.safetensors"))
        assert bool(files) == self.trains
        for path in files:
            whole = path.read_bytes()
            for damaged in (whole[:-3], whole[: len(whole) // 2], b""):
                path.write_bytes(damaged)
                with pytest.raises(ArtifactError, match="cannot be read"):
                    recommender.load(tmp_path)
            path.unlink()
            with pytest.raises(ArtifactError, match="cannot be read"):
                recommender.load(tmp_path)
            path.write_bytes(whole)
        recommender.load(tmp_path)

    def test_gradient_checkpointing_changes_no_gradient(
        self, recommender: LanguageRecommender, small_world: Dataset, pairs: Pairs
    ) -> None:
        self.train_a_little(recommender, small_world)
        if not self.trains:
            return
        batch = recommender.inputs(pairs).batch(np.arange(6))
        recommender.train()
        gradients = []
        for checkpointing in (False, True):
            recommender.enable_gradient_checkpointing(checkpointing)
            recommender.zero_grad()
            with torch.random.fork_rng():
                torch.manual_seed(0)  # of the dropout
                recommender.logits(**batch).sum().backward()
            gradients.append(
                [p.grad.clone() for p in recommender.parameters() if p.grad is not None]
            )
        for plain, recomputed in zip(*gradients, strict=True):
            torch.testing.assert_close(plain, recomputed, rtol=1e-4, atol=1e-6)

    def test_training_moves_what_it_may_and_leaves_the_frozen_model_to_the_bit(
        self, recommender: LanguageRecommender, small_world: Dataset
    ) -> None:
        before = _values(recommender)
        self.train_a_little(recommender, small_world)
        weights = dict(recommender.named_parameters())
        may = {name for name, weight in weights.items() if weight.requires_grad}
        moved = {name for name, weight in weights.items() if not torch.equal(weight, before[name])}
        assert moved <= may
        assert bool(moved) == self.trains
        assert {name for name, weight in weights.items() if weight.grad is not None} <= may
        assert all(torch.isfinite(weight).all() for weight in weights.values())

    def test_every_parameter_is_in_one_group_and_a_phase_trains_its_own(
        self, recommender: LanguageRecommender, small_world: Dataset
    ) -> None:
        groups = recommender.parameter_groups()
        declared = RECOMMENDERS[self.system].config_class.parameter_groups
        assert declared is None or set(groups) <= set(declared)
        grouped = [id(parameter) for group in groups.values() for parameter in group]
        trained = [id(p) for p in recommender.parameters() if p.requires_grad]
        assert sorted(grouped) == sorted(trained)
        for name, group in groups.items():
            recommender.begin(Phase("the test", (name,)))
            before = _values(recommender)
            self.train_a_little(recommender, small_world)
            own = {id(parameter) for parameter in group}
            weights = dict(recommender.named_parameters())
            moved = [weights[key] for key in before if not torch.equal(weights[key], before[key])]
            assert moved
            assert {id(weight) for weight in moved} <= own
        with pytest.raises(ConfigError, match="has no parameters 'nonsense' to train"):
            recommender.begin(Phase("the test", ("nonsense",)))

    def test_it_learns_eight_rows_by_heart(
        self, recommender: LanguageRecommender, small_world: Dataset
    ) -> None:
        if not self.trains:
            assert recommender.trainable_parameters() == 0
            return
        rows = small_world.rows("train")
        labels = small_world.labels(rows)
        chosen = np.r_[np.flatnonzero(labels == 1)[:4], np.flatnonzero(labels == 0)[:4]]
        if not (by_pairs := isinstance(recommender, PointwiseRecommender)):
            chosen = np.arange(len(rows))  # eight examples are no eight rows
        data = TrainingData(small_world, rows[chosen], rows[chosen])
        recommender.prepare(data)
        batch = recommender.examples(data).batch(np.arange(8))
        trained = [p for p in recommender.parameters() if p.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=self.learning_rate)
        losses = []
        for _ in range(self.steps):
            optimizer.zero_grad()
            loss = recommender(**batch)
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
        if not by_pairs:
            assert losses[-1] < 0.8 * losses[0]
            return
        assert losses[-1] < 0.8 * np.log(2)
        scores = _scores(recommender, small_world.pairs(data.train_rows))
        assert scores[:4].min() > scores[4:].max()

    def test_the_seed_alone_makes_the_start_values(
        self,
        recommender: LanguageRecommender,
        small_world: Dataset,
        cf: VectorSource,
        tiny_backbone: Path,
    ) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(99)
            again = self.build(small_world, cf, tiny_backbone)
        other = self.build(small_world, cf, tiny_backbone, seed=2)
        first, second, third = (_values(each) for each in (recommender, again, other))
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert all(torch.equal(first[name], third[name]) for name in first) == (not self.trains)

    def test_the_same_steps_give_the_same_system(
        self,
        recommender: LanguageRecommender,
        small_world: Dataset,
        cf: VectorSource,
        tiny_backbone: Path,
        pairs: Pairs,
    ) -> None:
        scores = []
        for each in (recommender, self.build(small_world, cf, tiny_backbone)):
            self.train_a_little(each, small_world)
            scores.append(_scores(each, pairs))
        np.testing.assert_array_equal(scores[0], scores[1])

    def test_it_leaves_the_random_numbers_of_others_alone(
        self, small_world: Dataset, cf: VectorSource, tiny_backbone: Path, pairs: Pairs
    ) -> None:
        states = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
        recommender = self.build(small_world, cf, tiny_backbone)
        self.train_a_little(recommender, small_world)
        _scores(recommender, pairs)
        assert torch.equal(torch.get_rng_state(), states[0])
        assert (str(np.random.get_state()), random.getstate()) == states[1:]

    def test_many_items_of_one_person_have_the_scores_of_pairs(
        self, recommender: LanguageRecommender, small_world: Dataset, pairs: Pairs
    ) -> None:
        """However a system reads once what their prompts have in common."""
        self.train_a_little(recommender, small_world)
        recommender.eval()
        items = np.arange(1, small_world.num_items + 3)
        new = ("Something Else", "Altogether") if self.reads_titles else ()
        for row in (0, 5):
            known = Context(int(pairs.user_ids[row]), np.array([3, 1, 4, 1, 5][: row + 1]))
            ranker = Ranker(recommender)
            ranked = ranker.score_items(known, items, new_titles=new)
            plain = Scorer(recommender).score(known.pairs(items), new_titles=new)
            np.testing.assert_allclose(ranked, plain, atol=1e-4)
            ways = recommender.ways_to_share() if isinstance(recommender, SharingSystem) else ()
            for way in ways:
                batch = recommender.inputs(known.pairs(items), new).batch(np.arange(len(items)))
                with torch.inference_mode():
                    assert isinstance(recommender, SharingSystem)
                    shared = recommender.shared_logits(batch, way)
                assert shared is None or np.allclose(shared, plain, atol=1e-4)

    def test_users_that_nobody_knows_are_alike(
        self, recommender: LanguageRecommender, small_world: Dataset, pairs: Pairs
    ) -> None:
        self.train_a_little(recommender, small_world)
        stranger = [0, small_world.num_users + 1, small_world.num_users + 1000]
        first, *others = (
            _scores(
                recommender, replace(pairs, user_ids=np.full_like(pairs.user_ids, user), rows=None)
            )
            for user in stranger
        )
        assert np.isfinite(first).all()
        for other in others:
            np.testing.assert_array_equal(first, other)

    def test_items_that_nobody_knows_differ_by_their_titles_alone(
        self, recommender: LanguageRecommender, small_world: Dataset, pairs: Pairs
    ) -> None:
        self.train_a_little(recommender, small_world)
        if not self.reads_titles:
            first_new = np.full_like(pairs.item_ids, small_world.num_items + 1)
            with pytest.raises(DataError, match="'The Same'"):
                _scores(recommender, replace(pairs, item_ids=first_new, rows=None), "The Same")
            unknown = (0, small_world.num_items + 1, small_world.num_items + 1000)
            alike = [
                _scores(
                    recommender,
                    replace(pairs, item_ids=np.full_like(pairs.item_ids, item), rows=None),
                )
                for item in unknown
            ]
            assert all(np.array_equal(each, alike[0]) for each in alike)
            return
        scores = []
        for number in (1, 2, 3):
            items = np.full_like(pairs.item_ids, small_world.num_items + number)
            titles = ("The Same", "The Same", "Something Else Altogether")
            new = replace(pairs, item_ids=items, rows=None)
            scores.append(_scores(recommender, new, *titles))
        np.testing.assert_array_equal(scores[0], scores[1])
        assert not np.array_equal(scores[0], scores[2])
