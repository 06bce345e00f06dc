from pathlib import Path

import numpy as np
import pytest
import torch

from corarec.data import Dataset
from corarec.recommenders import TrainingData, build_recommender
from corarec.recommenders.personprompt import PersonPromptRecommender, PersonPromptSystem
from corarec.recommenders.phase import Phase
from corarec.score.scorer import Scorer
from corarec.types import Histories, Pairs


def build(dataset: Dataset, backbone: Path, **options: object) -> PersonPromptRecommender:
    config = PersonPromptSystem.parse({"backbone": {"model": str(backbone)}, **options}, "the test")
    recommender = build_recommender(config, dataset, seed=3)
    assert isinstance(recommender, PersonPromptRecommender)
    return recommender


@pytest.mark.parametrize(("start", "bound"), [("port", 110**-0.5), ("original", 0.1)])
def test_start_values(small_world: Dataset, tiny_backbone: Path, start: str, bound: float) -> None:
    """Of 60 users and 50 items: a linear layer on 110 one-hots, or PEPLER's own range."""
    system = build(small_world, tiny_backbone, start=start)
    for name, count in (("user", 60), ("item", 50)):
        weight = system.people.state_dict()[f"{name}.weight"]
        assert weight.shape == (count + 1, 32)
        assert 0.98 * bound < weight.abs().max() <= bound
        assert (weight[0] == 0).all()


def test_only_the_embeddings_of_the_rows_train(small_world: Dataset, tiny_backbone: Path) -> None:
    system = build(small_world, tiny_backbone)
    assert list(system.parameter_groups()) == ["people"]
    rows = small_world.rows("train")[:4]
    system(**system.examples(TrainingData(small_world, rows, rows)).batch(np.arange(4))).backward()
    moved = {n for n, p in system.named_parameters() if p.grad is not None}
    assert moved == {"people.user.weight", "people.item.weight"}
    seen = set(small_world.pairs(rows).user_ids.tolist())
    gradient = system.parameter_groups()["people"][0].grad
    assert gradient is not None
    assert set(torch.nonzero(gradient.abs().sum(dim=1)).flatten().tolist()) == seen


def test_whoever_is_not_in_the_dataset_has_zeros(small_world: Dataset, tiny_backbone: Path) -> None:
    system = build(small_world, tiny_backbone)
    strangers = Pairs(np.array([0, 61]), np.array([3, 3]), Histories.from_lists([[1], [1]]))
    vectors = system.soft_vectors(system.inputs(strangers).batch(np.arange(2)))
    assert (vectors["user"] == 0).all()
    assert (vectors["item"] != 0).any()
    new_item = Pairs(np.array([5]), np.array([51]), Histories.from_lists([[1]]))
    assert np.isfinite(Scorer(system).score(new_item, new_titles=["New (2001)"])).all()


def test_with_a_lora_the_embeddings_train_alone_first(
    small_world: Dataset, tiny_backbone: Path
) -> None:
    system = build(small_world, tiny_backbone, lora={"rank": 2})
    assert set(system.parameter_groups()) == {"people", "lora"}
    rows = small_world.rows("train")[:4]
    for groups in (("people",), ("people", "lora")):
        system.begin(Phase("the test", groups))
        system.zero_grad()
        batch = system.examples(TrainingData(small_world, rows, rows)).batch(np.arange(4))
        system(**batch).backward()
        learned = {n for n, p in system.named_parameters() if p.grad is not None}
        assert any("lora_B" in name for name in learned) == ("lora" in groups)
        assert {"people.user.weight", "people.item.weight"} <= learned
        assert all("lora" in name or name.startswith("people") for name in learned)
