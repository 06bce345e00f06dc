import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from corarec.data import Dataset
from corarec.recommenders import TrainingData, build_recommender
from corarec.recommenders.prompt4nr import Prompt4NRRecommender, Prompt4NRSystem


@pytest.fixture
def system(small_world: Dataset, tiny_backbone: Path) -> Prompt4NRRecommender:
    config = Prompt4NRSystem(backbone={"model": str(tiny_backbone)})
    recommender = build_recommender(config, small_world, seed=3)
    assert isinstance(recommender, Prompt4NRRecommender)
    return recommender


def test_the_prompt_is_that_of_the_port(small_world: Dataset, system: Prompt4NRRecommender) -> None:
    """Three virtual tokens a slot, a literal full stop between them, slots set off by [SEP]."""
    pair = small_world.pairs("valid").take(np.array([0]))
    (text,) = system.encoder.render(pair)
    encoded = system.encoder.encode(pair)
    assert text.count("[SEP]") == 2
    assert text.endswith('would enjoy the movie? Answer with "Yes" or "No". \n#Answer:')
    for slot in ("user", "item"):
        places = encoded.soft[slot][0].tolist()
        assert len(places) == 3
        for left, right in itertools.pairwise(places):
            between = encoded.input_ids[0, left + 1 : right]
            assert system.encoder.tokenizer.decode(between) == "."


def test_virtual_tokens_start_far_above_embeddings_and_are_alike_for_all_pairs(
    small_world: Dataset, system: Prompt4NRRecommender
) -> None:
    """A linear layer on the one-hot of two slots, with its default start values."""
    bound = 2**-0.5
    weight = system.soft.weight
    assert weight.shape == (3 * 32, 2)
    assert 0.9 * bound < weight.abs().max() <= bound
    batch = system.inputs(small_world.pairs("valid")).batch(np.arange(4))
    vectors = system.soft_vectors(batch)
    assert vectors["user"].shape == (4, 3, 32)
    assert torch.equal(vectors["user"][0], vectors["user"][3])
    assert torch.equal(vectors["user"][0].flatten(), weight[:, 0])
    assert torch.equal(vectors["item"][0].flatten(), weight[:, 1])


def test_lora_and_virtual_tokens_train_together(
    small_world: Dataset, system: Prompt4NRRecommender
) -> None:
    assert set(system.parameter_groups()) == {"lora", "soft"}
    rows = small_world.rows("train")[:8]
    batch = system.examples(TrainingData(small_world, rows, rows)).batch(np.arange(8))
    system.train()
    system(**batch).backward()
    gradients = {n: p.grad for n, p in system.named_parameters() if p.requires_grad}
    assert gradients["soft.weight"] is not None
    assert gradients["soft.weight"].abs().max() > 0
    assert any(g is not None and g.abs().max() > 0 for n, g in gradients.items() if "lora_B" in n)
    assert all(p.grad is None for p in system.parameters() if not p.requires_grad)


def test_the_original_sets_virtual_tokens_side_by_side_and_starts_them_as_words(
    small_world: Dataset, tiny_backbone: Path
) -> None:
    config = Prompt4NRSystem(backbone={"model": str(tiny_backbone)}, start="original")
    system = build_recommender(config, small_world, seed=3)
    assert isinstance(system, Prompt4NRRecommender)
    assert 0.015 < float(system.soft.weight.detach().std()) < 0.025
    encoded = system.encoder.encode(small_world.pairs("valid").take(np.array([0])))
    for slot in ("user", "item"):
        places = encoded.soft[slot][0]
        assert torch.equal(places.diff(), torch.ones(2, dtype=torch.int64))
