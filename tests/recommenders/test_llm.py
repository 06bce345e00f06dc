from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.recommenders import build_recommender
from corarec.recommenders.icl import ICLSystem
from corarec.recommenders.llm import PromptInputs, PromptRecommender
from corarec.score.scorer import Scorer


@pytest.fixture
def recommender(small_world: Dataset, tiny_backbone: Path) -> PromptRecommender:
    system = build_recommender(ICLSystem(backbone={"model": str(tiny_backbone)}), small_world)
    assert isinstance(system, PromptRecommender)
    return system


def test_the_logit_is_that_of_the_answer_at_the_last_position(
    recommender: PromptRecommender, small_world: Dataset
) -> None:
    batch = recommender.inputs(small_world.pairs("valid")).batch(np.arange(3))
    recommender.eval()
    with torch.no_grad():
        got = recommender.logits(**batch)
        mask = batch["attention_mask"]
        logits = recommender.model(
            input_ids=batch["input_ids"],
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        ).logits[:, -1]
    yes, no = recommender.answers.yes, recommender.answers.no
    torch.testing.assert_close(got, logits[:, yes] - logits[:, no])
    recommender.answer = "yes"
    with torch.no_grad():
        torch.testing.assert_close(recommender.logits(**batch), logits[:, yes])


def test_inputs_are_prompts_cut_at_the_rows_that_are_asked_for(
    recommender: PromptRecommender, small_world: Dataset
) -> None:
    pairs = small_world.pairs("valid")
    inputs = PromptInputs(pairs, recommender.encoder)
    assert len(inputs) == len(pairs) == len(inputs.lengths)
    rows = np.array([4, 1])
    batch = inputs.batch(rows)
    encoded = recommender.encoder.encode(pairs.take(rows))
    assert torch.equal(batch["input_ids"], encoded.input_ids)
    assert torch.equal(batch["title_start"], encoded.starts["title"])


def test_new_titles_are_an_argument(recommender: PromptRecommender, small_world: Dataset) -> None:
    pairs = small_world.pairs("valid").take(np.array([0, 0]))
    new = replace(pairs, item_ids=np.array([len(small_world.titles), pairs.item_ids[0]]))
    scores = Scorer(recommender).score(new, new_titles=["Other (1990)"])
    assert scores[0] != scores[1]
    assert scores[1] == pytest.approx(Scorer(recommender).score(pairs)[0], abs=1e-5)
    assert len(recommender.encoder.titles) == len(small_world.titles)


STARRED = {"template": "{history}|{disliked}|{title}", "past_title": "{title}: {stars}"}


def test_a_prompt_shows_the_stars_of_earlier_rows_alone(
    small_world: Dataset, tiny_backbone: Path
) -> None:
    config = ICLSystem(backbone={"model": str(tiny_backbone)}, prompt=STARRED)
    system = build_recommender(config, small_world)
    assert isinstance(system, PromptRecommender)
    rows = small_world.rows("test")[:20]
    prompts = system.encoder.render(small_world.pairs(rows))
    table, titles = small_world.interactions, small_world.titles
    shown = 0
    for row, prompt in zip(rows.tolist(), prompts, strict=True):
        user = table["user_id"][row]
        before = table[:row].filter(pl.col("user_id") == user)
        for label, past in zip((1, 0), prompt.split("|"), strict=False):
            known = before.filter(pl.col("label") == label).tail(10)
            said = [
                f"{titles[item]}: {stars:g}"
                for item, stars in known.select("item_id", "rating").iter_rows()
            ]
            assert past == (", ".join(said) or "unknown")
            shown += len(said)
    assert shown > 20


def test_stars_of_a_dataset_without_ratings_are_refused(
    small_world: Dataset, tiny_backbone: Path
) -> None:
    bare = replace(
        small_world,
        interactions=small_world.interactions.with_columns(
            rating=pl.lit(None, small_world.interactions["rating"].dtype)
        ),
    )
    config = ICLSystem(backbone={"model": str(tiny_backbone)}, prompt=STARRED)
    with pytest.raises(ConfigError, match="no ratings"):
        build_recommender(config, bare)
