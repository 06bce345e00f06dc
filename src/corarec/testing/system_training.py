"""The part of the contract of systems that is about their training."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch

from corarec.cf import VectorSource
from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.recommenders import RECOMMENDERS, TrainingData
from corarec.recommenders.language import LanguageRecommender
from corarec.recommenders.phase import Phase
from corarec.recommenders.pointwise import PointwiseRecommender
from corarec.score.scorer import Scorer
from corarec.testing.system_world import SystemWorld
from corarec.types import FloatArray, Pairs


def scores_of(recommender: LanguageRecommender, pairs: Pairs, *new_titles: str) -> FloatArray:
    """Return the logits of pairs: [N]."""
    return Scorer(recommender).score(pairs, new_titles=new_titles)


def values_of(recommender: LanguageRecommender) -> dict[str, torch.Tensor]:
    """Return a copy of every weight."""
    return {name: weight.detach().clone() for name, weight in recommender.named_parameters()}


class TrainingConformance(SystemWorld):
    """What every system promises of its training."""

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
        before = values_of(recommender)
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
            before = values_of(recommender)
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
        scores = scores_of(recommender, small_world.pairs(data.train_rows))
        assert scores[:4].min() > scores[4:].max()

    def test_the_seed_alone_makes_the_startvalues_of(
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
        first, second, third = (values_of(each) for each in (recommender, again, other))
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
            scores.append(scores_of(each, pairs))
        np.testing.assert_array_equal(scores[0], scores[1])

    def test_it_leaves_the_random_numbers_of_others_alone(
        self, small_world: Dataset, cf: VectorSource, tiny_backbone: Path, pairs: Pairs
    ) -> None:
        states = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
        recommender = self.build(small_world, cf, tiny_backbone)
        self.train_a_little(recommender, small_world)
        scores_of(recommender, pairs)
        assert torch.equal(torch.get_rng_state(), states[0])
        assert (str(np.random.get_state()), random.getstate()) == states[1:]
