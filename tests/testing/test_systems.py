"""The contract of systems notices what breaks it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corarec.cf import FitConfig, VectorSource, fit_cf
from corarec.data import Dataset
from corarec.recommenders.collm import CoLLMRecommender
from corarec.recommenders.language import LanguageRecommender
from corarec.testing import SystemConformance
from corarec.testing.system_world import some_rows
from corarec.types import Pairs


class CoLLM(SystemConformance):
    system = "collm"
    prompt = {"template": "{history} by {user}: {item} {title}? Answer:", "history_length": 2}  # noqa: RUF012


@pytest.fixture(scope="module")
def cf(small_world: Dataset) -> VectorSource:
    options = {"embedding_size": 4, "max_epochs": 1}
    return VectorSource(fit_cf(small_world, FitConfig(model="mf", options=options))[0], small_world)


@pytest.fixture
def recommender(small_world: Dataset, cf: VectorSource, tiny_backbone: Path) -> LanguageRecommender:
    return CoLLM().build(small_world, cf, tiny_backbone)


@pytest.fixture
def pairs(small_world: Dataset) -> Pairs:
    return small_world.pairs(some_rows(small_world))


def test_padding_on_the_right(
    recommender: LanguageRecommender, small_world: Dataset, pairs: Pairs
) -> None:
    contract = CoLLM()
    contract.test_prompts_are_padded_on_the_left(recommender, small_world, pairs)
    inputs = recommender.inputs

    class Right:
        def __init__(self, whole: Any) -> None:
            self.whole, self.lengths = whole, whole.lengths

        def batch(self, rows: Any) -> dict[str, torch.Tensor]:
            batch = self.whole.batch(rows)
            for row, mask in enumerate(batch["attention_mask"].bool()):
                order = mask.long().argsort(descending=True, stable=True)
                for name in ("attention_mask", "input_ids"):
                    batch[name][row] = batch[name][row][order]
            return batch

    recommender.inputs = lambda *given: Right(inputs(*given))  # type: ignore[assignment]
    with pytest.raises(AssertionError):
        contract.test_prompts_are_padded_on_the_left(recommender, small_world, pairs)


def test_a_backbone_that_is_trained_and_not_saved(
    recommender: LanguageRecommender,
    small_world: Dataset,
    cf: VectorSource,
    tiny_backbone: Path,
    pairs: Pairs,
    tmp_path: Path,
) -> None:
    recommender.model.get_input_embeddings().weight.requires_grad_(True)
    with pytest.raises(AssertionError, match="Arrays are not equal"):
        CoLLM().test_saving_and_loading_keeps_every_score(
            recommender, small_world, cf, tiny_backbone, pairs, tmp_path
        )


def test_a_parameter_in_no_group(recommender: LanguageRecommender, small_world: Dataset) -> None:
    recommender.stray = torch.nn.Parameter(torch.zeros(1))
    with pytest.raises(AssertionError):
        CoLLM().test_every_parameter_is_in_one_group_and_a_phase_trains_its_own(
            recommender, small_world
        )


def test_a_system_that_cannot_learn(recommender: LanguageRecommender, small_world: Dataset) -> None:
    logits = recommender.logits
    recommender.logits = lambda **batch: 1e-6 * logits(**batch)  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        CoLLM().test_it_learns_eight_rows_by_heart(recommender, small_world)


def test_random_numbers_of_others(
    small_world: Dataset,
    cf: VectorSource,
    tiny_backbone: Path,
    pairs: Pairs,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = CoLLMRecommender.inputs

    def noisy(self: CoLLMRecommender, *given: Any) -> Any:
        np.random.rand()
        return inputs(self, *given)

    monkeypatch.setattr(CoLLMRecommender, "inputs", noisy)
    with pytest.raises(AssertionError):
        CoLLM().test_it_leaves_the_random_numbers_of_others_alone(
            small_world, cf, tiny_backbone, pairs
        )


def test_strangers_that_are_not_alike(
    recommender: LanguageRecommender, small_world: Dataset, pairs: Pairs
) -> None:
    inputs = recommender.inputs

    def by_number(pairs: Pairs, new_titles: Any = ()) -> Any:
        made: Any = inputs(pairs, new_titles)
        made.table.users[:] += float(pairs.user_ids[0] % 7)
        return made

    recommender.inputs = by_number  # type: ignore[method-assign]
    with pytest.raises(AssertionError):
        CoLLM().test_users_that_nobody_knows_are_alike(recommender, small_world, pairs)
