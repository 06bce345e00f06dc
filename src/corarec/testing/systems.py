"""The contract of every system, as tests."""

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
from corarec.errors import ArtifactError, DataError
from corarec.recommenders import build_recommender
from corarec.recommenders.icl import ICLSystem
from corarec.recommenders.language import LanguageRecommender
from corarec.recommenders.llm import PromptSystem
from corarec.score.batches import batched, score_batches
from corarec.score.context import Context
from corarec.score.ranker import Ranker, SharingSystem
from corarec.score.scorer import Scorer
from corarec.testing.system_training import TrainingConformance, scores_of
from corarec.types import Histories, Pairs


class SystemConformance(TrainingConformance):
    """What every system promises; a subclass names a system and its options."""

    def test_scores_do_not_depend_on_company(
        self, recommender: LanguageRecommender, small_world: Dataset, pairs: Pairs
    ) -> None:
        self.train_a_little(recommender, small_world)
        together = scores_of(recommender, pairs)
        alone = [scores_of(recommender, pairs.take(np.array([n])))[0] for n in range(len(pairs))]
        np.testing.assert_allclose(together, alone, atol=5e-5)

    def test_scores_are_its_logits(
        self, recommender: LanguageRecommender, small_world: Dataset, pairs: Pairs
    ) -> None:
        """However scoring saves work."""
        self.train_a_little(recommender, small_world)
        plain = score_batches(recommender, batched(recommender.inputs(pairs)), pairs)
        np.testing.assert_allclose(scores_of(recommender, pairs), plain, atol=1e-5)

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
        scores = scores_of(recommender, pairs)
        model = recommender.model
        with model.disable_adapter() if isinstance(model, PeftModel) else nullcontext():
            same = np.array_equal(scores_of(recommender, pairs), scores)
        assert same == self.starts_frozen
        config = self.config({"model": str(tiny_backbone)})
        if (
            isinstance(config, PromptSystem) and not config.added_slots
        ):  # so that the frozen model can read the same prompt
            plain = ICLSystem(backbone=config.backbone, prompt=config.prompt, answer=config.answer)
            frozen = build_recommender(plain, small_world)
            assert np.array_equal(scores_of(frozen, pairs), scores) == self.starts_frozen

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
        before = scores_of(recommender, pairs)
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
        np.testing.assert_array_equal(scores_of(recommender, pairs), before)

    def test_saving_and_loading_keeps_every_score(
        self,
        recommender: LanguageRecommender,
        small_world: Dataset,
        cf: VectorSource,
        tiny_backbone: Path,
        pairs: Pairs,
        tmp_path: Path,
    ) -> None:
        before = scores_of(recommender, pairs)
        self.train_a_little(recommender, small_world)
        after = scores_of(recommender, pairs)
        assert np.allclose(before, after) == (not self.trains)
        recommender.save(tmp_path)
        # Of another seed: whatever is not saved would differ.
        fresh = self.build(small_world, cf, tiny_backbone, seed=2)
        fresh.load(tmp_path)
        np.testing.assert_array_equal(scores_of(fresh, pairs), after)
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
            scores_of(
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
                scores_of(recommender, replace(pairs, item_ids=first_new, rows=None), "The Same")
            unknown = (0, small_world.num_items + 1, small_world.num_items + 1000)
            alike = [
                scores_of(
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
            scores.append(scores_of(recommender, new, *titles))
        np.testing.assert_array_equal(scores[0], scores[1])
        assert not np.array_equal(scores[0], scores[2])
