from typing import Any

import pytest

from corarec.data import Dataset
from corarec.prompts import PromptConfig, PromptEncoder
from corarec.recipe import RunConfig
from corarec.train.doctor import diagnose


def test_a_diagnosis_says_what_the_run_will_meet(
    recipe: dict[str, Any], small_world: Dataset, tiny_tokenizer: Any
) -> None:
    [diagnosis] = diagnose(RunConfig.parse(recipe, "recipe"))
    encoder = PromptEncoder(
        tiny_tokenizer, PromptConfig(), small_world.titles, noun="movie", nouns="movies"
    )
    pairs = small_world.pairs("train")
    counts = encoder.token_counts(pairs)
    mean, p95, longest = diagnosis.prompt_tokens
    assert mean == pytest.approx(counts.mean())
    assert counts.mean() < p95 <= longest == counts.max()
    assert diagnosis.example in encoder.render(pairs)
    assert (diagnosis.max_length, diagnosis.shortened) == (1024, 0.0)
    assert diagnosis.answers.startswith("' Yes' = ")
    assert diagnosis.cf == "mf-b, 6 numbers each"
    blocks = 2 * (4 * 32 * 32 + 3 * 32 * 48 + 2 * 32)
    assert diagnosis.frozen == 2 * len(tiny_tokenizer) * 32 + blocks + 32
    assert diagnosis.steps == 6
    assert 0 < diagnosis.step_seconds < 60
    assert 0.05 < diagnosis.memory_gb < 100
    assert len(diagnosis.lines()) == 7


def test_prompts_that_will_be_shortened_are_counted(recipe: dict[str, Any]) -> None:
    recipe = {**recipe, "system": {**recipe["system"], "prompt": {"max_length": 250}}}
    [diagnosis] = diagnose(RunConfig.parse(recipe, "recipe"))
    assert 0 < diagnosis.shortened < 1


def test_a_system_without_training_and_cf_is_diagnosed_too(recipe: dict[str, Any]) -> None:
    backbone = recipe["system"]["backbone"]
    recipe = {**recipe, "cf": None, "system": {"name": "icl", "backbone": backbone}}
    [diagnosis] = diagnose(RunConfig.parse(recipe, "recipe"))
    assert (diagnosis.trainable, diagnosis.cf) == (0, "none")
