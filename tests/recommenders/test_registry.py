from pathlib import Path

import pytest
import torch

from corarec.cf import FitConfig, VectorSource, fit_cf
from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.recommenders.cora import CoraSystem
from corarec.recommenders.language import LanguageRecommender
from corarec.recommenders.llm import PromptRecommender
from corarec.recommenders.registry import RECOMMENDERS, SystemConfig, build_recommender
from corarec.recommenders.tallrec import TALLRecSystem
from corarec.types import Config


class Holder(Config):
    system: SystemConfig


def trained(recommender: LanguageRecommender) -> list[torch.Tensor]:
    return [p for p in recommender.parameters() if p.requires_grad]


@pytest.fixture(scope="module")
def cf(small_world: Dataset) -> VectorSource:
    model, _ = fit_cf(small_world, FitConfig(model="rates"))
    return VectorSource(model, small_world)


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_every_system_is_chosen_by_its_name(
    name: str, small_world: Dataset, tiny_backbone: Path, cf: VectorSource
) -> None:
    values = {"name": name, "backbone": {"model": str(tiny_backbone)}}
    config = Holder.parse({"system": values}, "the test").system
    if name == "binllm":
        options = {"embedding_size": 4, "max_epochs": 2}
        model, _ = fit_cf(small_world, FitConfig(model="binary-mf", options=options))
        cf = VectorSource(model, small_world)
    recommender = build_recommender(config, small_world, cf)
    assert type(recommender) is RECOMMENDERS[name]
    if isinstance(recommender, PromptRecommender):
        assert recommender.encoder.titles == small_world.titles
    assert all(not p.requires_grad for n, p in recommender.named_parameters() if "embed" in n)


def test_an_unknown_system_is_an_error() -> None:
    with pytest.raises(ConfigError, match="cora"):
        Holder.parse({"system": {"name": "nobody"}}, "the test")


@pytest.mark.parametrize("kind", [CoraSystem, TALLRecSystem])
def test_the_seed_sets_the_start_values_and_nothing_else_does(
    kind: type[CoraSystem | TALLRecSystem],
    small_world: Dataset,
    tiny_backbone: Path,
    cf: VectorSource,
) -> None:
    config = kind(backbone={"model": str(tiny_backbone)})
    torch.manual_seed(99)
    state = torch.get_rng_state()
    first = trained(build_recommender(config, small_world, cf, seed=1))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    again = trained(build_recommender(config, small_world, cf, seed=1))
    other = trained(build_recommender(config, small_world, cf, seed=2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_a_prompt_is_no_longer_than_the_model_reads(
    small_world: Dataset, tiny_backbone: Path
) -> None:
    config = TALLRecSystem(backbone={"model": str(tiny_backbone)})
    recommender = build_recommender(config, small_world)
    assert isinstance(recommender, PromptRecommender)
    assert recommender.encoder.max_length == 1024
