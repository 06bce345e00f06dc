from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from corarec.errors import TrainingError
from corarec.pretrain.corpus import Corpus
from corarec.pretrain.recipe import OptimizerConfig, PretrainingRecipe
from corarec.pretrain.trainer import (
    LanguageTrainer,
    StepBatches,
    language_loss,
    last_checkpoint,
    rate_factor,
)

CORPUS = Corpus(np.arange(44, dtype=np.uint16), {}, {})


@pytest.fixture
def recipe() -> PretrainingRecipe:
    """Ten tokens of one phase, of which eight fill steps, then two longer blocks."""
    return PretrainingRecipe.model_validate(
        {
            "sources": {"x": {"path": "x.txt", "templates": [{"text": "x"}]}},
            "tokenizer": {"mix": {"x": 1}},
            "phases": [
                {"name": "a", "tokens": 10, "mix": {"x": 1}, "block": 4},
                {"name": "b", "tokens": 16, "mix": {"x": 1}, "block": 8},
            ],
            "optimizer": {"batch_tokens": 8},
            "bf16": False,
        }
    )


def test_batches_follow_the_corpus(recipe: PretrainingRecipe) -> None:
    batches = StepBatches(CORPUS, recipe)
    assert len(batches) == recipe.steps == 3
    assert batches[0]["input_ids"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert batches[1]["input_ids"].tolist() == [[*range(10, 18)]]
    assert batches[2]["input_ids"].tolist() == [[*range(18, 26)]]


def test_warmup_plateau_and_decay() -> None:
    config = OptimizerConfig(warmup_share=0.1, decay_share=0.5)
    factors = [rate_factor(step, 100, config) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[9:51] == [1.0] * 42
    assert factors[75] == pytest.approx(0.02 + 0.98 * 0.5)
    assert rate_factor(100, 100, config) == pytest.approx(0.02)


def test_cosine() -> None:
    config = OptimizerConfig(schedule="cosine", warmup_share=0.1)
    assert rate_factor(10, 100, config) == pytest.approx(1.0)
    assert rate_factor(55, 100, config) == pytest.approx(0.51)
    assert rate_factor(100, 100, config) == pytest.approx(0.02)


def test_loss_is_the_model_s_own(tiny_model: LlamaForCausalLM) -> None:
    ids = torch.arange(24).view(2, 12)
    theirs = tiny_model(input_ids=ids, labels=ids).loss
    torch.testing.assert_close(language_loss(tiny_model, ids), theirs)


def test_a_loss_that_is_not_finite(
    tiny_model: LlamaForCausalLM, recipe: PretrainingRecipe, tmp_path: Path
) -> None:
    torch.nn.init.constant_(tiny_model.model.norm.weight, torch.nan)
    trainer = LanguageTrainer(tiny_model, recipe, StepBatches(CORPUS, recipe), tmp_path, [])
    with pytest.raises(TrainingError, match="the loss is nan at step 0: lower"):
        trainer.train()
    assert last_checkpoint(tmp_path) is None


def test_a_gradient_that_is_not_finite(
    tiny_model: LlamaForCausalLM, recipe: PretrainingRecipe, tmp_path: Path
) -> None:
    tiny_model.model.norm.weight.register_hook(lambda gradient: gradient * torch.inf)
    trainer = LanguageTrainer(tiny_model, recipe, StepBatches(CORPUS, recipe), tmp_path, [])
    with pytest.raises(TrainingError, match=r"gradient became (nan|inf) at step 1\."):
        trainer.train()


def test_the_last_checkpoint_by_number(tmp_path: Path) -> None:
    assert last_checkpoint(tmp_path) is None
    for name in ("checkpoint-9", "checkpoint-100", "checkpoint-9.kept-1", "checkpoint-mine"):
        (tmp_path / name).mkdir()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-100"
