"""Every shortcut gives what the paper's own equations give."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corarec.cf import FitConfig, VectorSource, fit_cf
from corarec.data import Dataset
from corarec.recommenders import build_recommender
from corarec.recommenders.cora import CoraRecommender, CoraSystem
from corarec.score.scorer import Scorer
from corarec.testing.literal import LiteralCora


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"activation": "title", "answer": "yes-minus-no"},
        {"targets": ["q", "v", "down"], "generator": "paper", "vectors": {"product": True}},
    ],
)
def test_scores_are_those_of_the_equations(
    options: dict[str, Any], attention: str, small_world: Dataset, tiny_backbone: Path
) -> None:
    fitted, _ = fit_cf(
        small_world, FitConfig(model="mf-b", options={"embedding_size": 4, "max_epochs": 2})
    )
    backbone = {"model": str(tiny_backbone), "attention": attention}
    config = CoraSystem.model_validate({"backbone": backbone, "rank": 2, **options})
    source = VectorSource(fitted, small_world)
    system = build_recommender(config, small_world, source, seed=1).eval()
    assert isinstance(system, CoraRecommender)
    rng = np.random.default_rng(0)
    for name, parameter in system.named_parameters():
        if "cora_projection" in name:
            parameter.data += parameter.new_tensor(rng.normal(0, 0.1, parameter.shape))
    pairs = small_world.pairs("valid").take(slice(0, 40))
    scores = Scorer(system).score(pairs)
    assert scores.std() > 1e-3
    np.testing.assert_allclose(scores, LiteralCora(system).score(pairs), atol=1e-5)
