from pathlib import Path

import numpy as np
import pytest
import torch

from corarec.data import Dataset
from corarec.recommenders import build_recommender
from corarec.recommenders.icl import ICLSystem
from corarec.recommenders.llm import PromptInputs, PromptRecommender


@pytest.fixture
def recommender(small_world: Dataset, tiny_backbone: Path) -> PromptRecommender:
    return build_recommender(ICLSystem(backbone={"model": str(tiny_backbone)}), small_world)


def test_the_logit_is_that_of_the_answer_at_the_last_position(
    recommender: PromptRecommender, small_world: Dataset
) -> None:
    batch = recommender.inputs(small_world.pairs("valid")).batch(np.arange(3))
    recommender.eval()
    with torch.no_grad():
        got = recommender(**batch)
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
        torch.testing.assert_close(recommender(**batch), logits[:, yes])


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
    assert torch.equal(batch["title_start"], encoded.title_start)


def test_other_titles_are_read_within_the_block_only(
    recommender: PromptRecommender, small_world: Dataset
) -> None:
    before = recommender.encoder
    titles = ["", *(f"Other {n}" for n in range(1, len(small_world.titles)))]
    pair = small_world.pairs("valid").take(np.array([0]))
    with recommender.reading_titles(titles):
        (prompt,) = recommender.encoder.render(pair)
        assert f'"Other {pair.item_ids[0]}"' in prompt
    assert recommender.encoder is before
    with pytest.raises(KeyError), recommender.reading_titles(titles):
        raise KeyError
    assert recommender.encoder is before
