"""Descriptions to be repeated, with and without a system's own marks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from corarec.ability.reading import Language
from corarec.ability.repetition import (
    SHOWN,
    described_pairs,
    prompting,
    repeat,
    repeat_untouched,
    with_marks,
)
from corarec.backbone import load_backbone
from corarec.prompts.templates import slot_names
from corarec.recommenders.llm import PromptRecommender
from corarec.runs import Run, load_run


@pytest.fixture(scope="module")
def run(trained_run: Path) -> Run:
    return load_run(trained_run)


def ignore(count: int) -> None:
    pass


def test_marks_stand_where_a_system_has_them() -> None:
    plain, marked = with_marks(frozenset()), with_marks(frozenset({"user", "item"}))
    assert slot_names(plain.template) == ["nouns", "history", "noun", "title"]
    assert slot_names(marked.template) == ["user", "nouns", "history", "noun", "item", "title"]
    unmarked = marked.template.replace("{user} ", "").replace("{item} ", "")
    assert unmarked == plain.template


def test_the_pairs_are_drawn_by_the_seed_from_users_with_a_history(run: Run) -> None:
    first, again, other = (described_pairs(run, 5, seed) for seed in (0, 0, 1))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.user_ids.tolist() == again.user_ids.tolist() != other.user_ids.tolist()
    assert (first.histories.lengths() >= SHOWN).all()
    assert len(first) == 5
    everybody = described_pairs(run, 10_000, 0)
    assert everybody is not None
    assert len(everybody) <= run.knowledge.num_users
    unknown = run.parts._replace(knowledge=run.knowledge.without_users())
    assert described_pairs(replace(run, parts=unknown), 5, 0) is None


def test_a_model_that_repeats_is_found_to_repeat(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = load_backbone(run.config.system.backbone)
    language = Language(backbone.tokenizer, backbone.frame)
    pairs = described_pairs(run, 2, 0)
    assert pairs is not None
    assert isinstance(run.recommender, PromptRecommender)
    encoder = run.recommender.encoder
    scores, bits = repeat_untouched(backbone.model, language, encoder, pairs, ignore)
    assert bits.sizes is not None
    assert (bits.values > 0).all()
    assert (scores.values < 0.5).all()

    def copy(input_ids: torch.Tensor, **_: object) -> torch.Tensor:
        text = backbone.tokenizer.decode(input_ids[0], skip_special_tokens=True)
        said = text.partition("Description: ")[2].partition(" Repetition:")[0]
        words = backbone.tokenizer(f" {said}", add_special_tokens=False, return_tensors="pt")
        return torch.cat([input_ids, words["input_ids"]], dim=1)

    monkeypatch.setattr(backbone.model, "generate", copy)
    scores, _ = repeat_untouched(backbone.model, language, encoder, pairs, ignore)
    assert scores.values.tolist() == [1.0, 1.0]
    assert scores.answers is not None
    liked = run.knowledge.catalogue.titles[int(pairs.histories[0][-1])]
    assert liked in scores.answers[0]
    asked = run.knowledge.catalogue.titles[int(pairs.item_ids[0])]
    assert scores.answers[0].endswith(f'titled "{asked}".')
    assert bits.sizes.tolist() == [len(answer.strip().encode()) for answer in scores.answers]


def test_with_cora_off_the_repetition_is_that_of_the_untouched_model(run: Run) -> None:
    backbone = load_backbone(run.config.system.backbone)
    language = Language(backbone.tokenizer, backbone.frame)
    pairs = described_pairs(run, 2, 0)
    assert pairs is not None
    recommender = run.recommender
    assert isinstance(recommender, PromptRecommender)
    plain = repeat_untouched(backbone.model, language, recommender.encoder, pairs, ignore)
    off = repeat(
        recommender, lambda pair: recommender.language_model(), frozenset(), language, pairs, ignore
    )
    for first, second in zip(plain, off, strict=True):
        np.testing.assert_array_equal(first.values, second.values)
        assert first.answers == second.answers


def test_a_system_gets_its_own_prompt_back(run: Run) -> None:
    assert isinstance(run.recommender, PromptRecommender)
    own = run.recommender.encoder
    with (
        pytest.raises(KeyError),
        prompting(run.recommender, with_marks(frozenset())),
    ):
        assert run.recommender.encoder is not own
        raise KeyError
    assert run.recommender.encoder is own
