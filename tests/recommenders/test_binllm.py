from pathlib import Path
from typing import Any

import numpy as np
import pytest

from corarec.cf import FitConfig, VectorSource, fit_cf
from corarec.cf.factors.binary_mf import BinaryMF
from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.prompts import CORA_TEMPLATE
from corarec.recommenders import build_recommender
from corarec.recommenders.binllm import BinLLMSystem, code_text
from corarec.recommenders.llm import PromptRecommender
from corarec.recommenders.tallrec import TALLRecSystem
from corarec.score.scorer import Scorer


@pytest.fixture(scope="module")
def cf(small_world: Dataset) -> VectorSource:
    options = {"embedding_size": 16, "max_epochs": 5}
    model, _ = fit_cf(small_world, FitConfig(model="binary-mf", options=options))
    return VectorSource(model, small_world)


def build(dataset: Dataset, cf: VectorSource, backbone: Path, **options: Any) -> PromptRecommender:
    config = BinLLMSystem.parse({"backbone": {"model": str(backbone)}, **options}, "the test")
    system = build_recommender(config, dataset, cf, seed=3)
    assert isinstance(system, PromptRecommender)
    return system


@pytest.mark.parametrize(
    ("bits", "dotted"),
    [
        ("11000000101010000000000100000010", "192.168.1.2"),
        ("0" * 32, "0.0.0.0"),
        ("1" * 32, "255.255.255.255"),
        ("0000000110", "1.2"),
    ],
)
def test_a_known_code_in_both_forms(bits: str, dotted: str) -> None:
    """Most significant bit first, -1 is 0 and +1 is 1, no leading zeros in the decimals."""
    code = [1.0 if bit == "1" else -1.0 for bit in bits]
    assert code_text(code, "bits") == bits
    assert code_text(code, "dotted") == dotted


@pytest.mark.parametrize("form", ["bits", "dotted"])
def test_the_prompt_holds_the_codes_of_its_pair(
    small_world: Dataset, cf: VectorSource, tiny_backbone: Path, form: Any
) -> None:
    system = build(small_world, cf, tiny_backbone, form=form)
    pairs = small_world.pairs("valid").take(np.arange(5))
    assert isinstance(cf.model, BinaryMF)
    users, items = cf.model.codes(pairs)
    for n, text in enumerate(system.encoder.render(pairs)):
        user, item = (code_text(code[n].tolist(), form) for code in (users, items))
        assert f"encoded in the feature {user}. Using" in text
        assert f"with the feature {item}? Answer" in text


def test_on_the_plain_prompt_it_is_tallrec(
    small_world: Dataset, cf: VectorSource, tiny_backbone: Path
) -> None:
    plain = build(small_world, cf, tiny_backbone, prompt={"template": CORA_TEMPLATE})
    config = TALLRecSystem(backbone={"model": str(tiny_backbone)})
    tallrec = build_recommender(config, small_world, seed=3)
    pairs = small_world.pairs("valid")
    np.testing.assert_allclose(Scorer(plain).score(pairs), Scorer(tallrec).score(pairs), atol=1e-6)


def test_other_vectors_are_refused(small_world: Dataset, tiny_backbone: Path) -> None:
    model, _ = fit_cf(small_world, FitConfig(model="rates"))
    with pytest.raises(ConfigError, match="but 'rates' came"):
        build(small_world, VectorSource(model, small_world), tiny_backbone)
    with pytest.raises(ConfigError, match="no CF model came"):
        build_recommender(BinLLMSystem(backbone={"model": str(tiny_backbone)}), small_world)
