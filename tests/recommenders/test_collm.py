from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corarec.cf import FitConfig, VectorSource, fit_cf
from corarec.cf.tables import TableModel
from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.prompts import CORA_TEMPLATE
from corarec.recommenders import TrainingData, build_recommender
from corarec.recommenders.collm import CoLLMRecommender, CoLLMSystem
from corarec.recommenders.tallrec import TALLRecSystem
from corarec.score.scorer import Scorer
from corarec.types import Histories, Pairs


@pytest.fixture(scope="module")
def cf(small_world: Dataset) -> VectorSource:
    options = {"embedding_size": 4, "max_epochs": 5}
    model, _ = fit_cf(small_world, FitConfig(model="mf", options=options))
    return VectorSource(model, small_world)


def build(dataset: Dataset, cf: VectorSource, backbone: Path, **options: Any) -> CoLLMRecommender:
    config = CoLLMSystem.parse({"backbone": {"model": str(backbone)}, **options}, "the test")
    recommender = build_recommender(config, dataset, cf, seed=3)
    assert isinstance(recommender, CoLLMRecommender)
    return recommender


def test_one_mapping_for_users_and_items(
    small_world: Dataset, cf: VectorSource, tiny_backbone: Path
) -> None:
    """d -> 10 d -> H with a ReLU between (paper, equation 3 and its port)."""
    system = build(small_world, cf, tiny_backbone)
    shapes = [tuple(p.shape) for p in system.mapping.parameters()]
    assert shapes == [(40, 4), (40,), (32, 40), (32,)]
    batch = system.inputs(small_world.pairs("valid")).batch(np.arange(3))
    vectors = system.soft_vectors(batch)
    first, _, second = system.mapping.children()
    for name in ("user", "item"):
        by_hand = second(torch.relu(first(batch[f"{name}_vectors"])))
        torch.testing.assert_close(vectors[name][:, 0], by_hand)


def test_the_prompt_is_that_of_the_paper(
    small_world: Dataset, cf: VectorSource, tiny_backbone: Path
) -> None:
    system = build(small_world, cf, tiny_backbone)
    pairs = Pairs(np.array([1]), np.array([2]), Histories.from_lists([[3]]))
    (text,) = system.encoder.render(pairs)
    liked, title = small_world.titles[3], small_world.titles[2]
    mark = "<|corarec:soft|>"
    assert text == (
        "#Question: A user has given high ratings to the following movies: "
        f'"{liked}". Additionally, we have information about the user\'s preferences encoded in '
        f"the feature {mark}. Using all available information, make a prediction about whether "
        f'the user would enjoy the movie titled "{title}" with the feature {mark}? '
        'Answer with "Yes" or "No". \n#Answer:'
    )


def test_on_the_plain_prompt_it_is_tallrec(
    small_world: Dataset, cf: VectorSource, tiny_backbone: Path
) -> None:
    """The first of its two steps: the same LoRA, the same text, the same scores."""
    plain = build(small_world, cf, tiny_backbone, prompt={"template": CORA_TEMPLATE})
    tallrec = build_recommender(
        TALLRecSystem(backbone={"model": str(tiny_backbone)}), small_world, seed=3
    )
    pairs = small_world.pairs("valid")
    np.testing.assert_allclose(Scorer(plain).score(pairs), Scorer(tallrec).score(pairs), atol=1e-6)


def test_with_the_lora_frozen_only_the_mapping_learns(
    small_world: Dataset, cf: VectorSource, tiny_backbone: Path
) -> None:
    system = build(small_world, cf, tiny_backbone)
    groups = system.parameter_groups()
    assert set(groups) == {"lora", "mapping"}
    for parameter in groups["lora"]:
        parameter.requires_grad_(False)
    rows = small_world.rows("train")[:8]
    system(**system.examples(TrainingData(small_world, rows, rows)).batch(np.arange(8))).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in groups["mapping"])
    assert all(p.grad is None for p in groups["lora"])


def test_strangers_share_one_token(
    small_world: Dataset, cf: VectorSource, tiny_backbone: Path
) -> None:
    system = build(small_world, cf, tiny_backbone)
    strangers = Pairs(np.array([0, 99]), np.array([3, 3]), Histories.from_lists([[1], [1]]))
    users = system.soft_vectors(system.inputs(strangers).batch(np.arange(2)))["user"]
    assert torch.equal(users[0], users[1])
    torch.testing.assert_close(users[0, 0], system.mapping(torch.zeros(4)))


def test_the_cf_vectors_can_train_too(
    small_world: Dataset, cf: VectorSource, tiny_backbone: Path
) -> None:
    fixed, trained = (
        build(small_world, cf, tiny_backbone, train_cf=train_cf) for train_cf in (False, True)
    )
    pairs = small_world.pairs("valid")
    np.testing.assert_allclose(Scorer(fixed).score(pairs), Scorer(trained).score(pairs), atol=1e-6)
    assert set(trained.parameter_groups()) == {"lora", "mapping", "cf"}
    table = trained.parameter_groups()["cf"][0]
    assert isinstance(cf.model, TableModel)
    assert torch.equal(cf.model.user_table, table)
    rows = small_world.rows("train")[:8]
    data = TrainingData(small_world, rows, rows)
    trained(**trained.examples(data).batch(np.arange(8))).backward()
    assert table.grad is not None
    assert table.grad.abs().max() > 0
    assert (table.grad[0] == 0).all()


def test_what_cannot_be_trained_is_refused(small_world: Dataset, tiny_backbone: Path) -> None:
    with pytest.raises(ConfigError, match="CoLLM reads CF vectors"):
        build_recommender(CoLLMSystem(backbone={"model": str(tiny_backbone)}), small_world)
    model, _ = fit_cf(small_world, FitConfig(model="rates"))
    with pytest.raises(ConfigError, match="vectors of 'rates' belong to rows"):
        build(small_world, VectorSource(model, small_world), tiny_backbone, train_cf=True)
