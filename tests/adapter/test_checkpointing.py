from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from corarec.adapter import CoraConfig, GeneratorConfig
from corarec.adapter.binding import Binding
from corarec.adapter.checkpointing import carry_through_checkpoints
from corarec.errors import ConfigError

Batch = dict[str, torch.Tensor]

VECTOR_SIZE = 3


def _gradients(model: PeftModel, batch: Batch) -> dict[str, torch.Tensor]:
    model.zero_grad()
    torch.manual_seed(5)  # dropout
    loss = model(**batch, logits_to_keep=1).logits[:, -1, 3].square().mean()
    torch.autograd.backward(loss)
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("enable", ["on the peft model", "on the backbone", "every other block"])
def test_recomputation_gives_the_same_gradients(
    model: PeftModel, batch: Batch, enable: str
) -> None:
    model.train()
    expected = _gradients(model, batch)
    if enable == "on the peft model":
        model.activation_checkpointing_enable()
    else:
        backbone = model.get_base_model()
        backbone.activation_checkpointing_enable(every_n_layers=1 + (enable != "on the backbone"))
    gradients = _gradients(model, batch)
    assert len(expected) > 20
    torch.testing.assert_close(gradients, expected, rtol=0, atol=0)
    assert model.base_model.binding.increment is None


def test_each_batch_is_recomputed_with_its_own_matrices(
    make_llama: Callable[..., PreTrainedModel],
    make_config: Callable[..., CoraConfig],
    randomize: Callable[..., None],
    batch: Batch,
) -> None:
    """Two losses, one backward pass: nothing of the second may leak into the first."""
    generator = GeneratorConfig.preset("fit", VECTOR_SIZE, dropout=0.0)
    model = get_peft_model(make_llama(), make_config(dropout=0.0, generator=generator)).train()
    randomize(model)
    other = batch | {"cf_vectors": -batch["cf_vectors"]}
    expected = _gradients(model, batch), _gradients(model, other)
    model.activation_checkpointing_enable()
    model.zero_grad()
    losses = [
        model(**each, logits_to_keep=1).logits[:, -1, 3].square().mean() for each in (batch, other)
    ]
    torch.autograd.backward(losses[0] + losses[1])
    for name, gradient in expected[0].items():
        own = model.get_parameter(name).grad
        torch.testing.assert_close(own, gradient + expected[1][name], rtol=1e-4, atol=1e-5)


def test_reentrant_checkpointing_is_refused(model: PeftModel, batch: Batch) -> None:
    model.train().activation_checkpointing_enable({"use_reentrant": True})
    with pytest.raises(ConfigError, match=r"non-reentrant.*'use_reentrant': False"):
        model(**batch)


@pytest.mark.parametrize(
    "function",
    [
        checkpoint,
        partial(checkpoint, use_reentrant=False, context_fn=Binding().checkpoint_contexts),
    ],
)
def test_foreign_checkpointing_is_refused(model: PeftModel, function: Any) -> None:
    model.activation_checkpointing_enable()
    block = model.get_base_model().model.layers[0]
    block._gradient_checkpointing_func = function
    with pytest.raises(ConfigError, match="context_fn"):
        carry_through_checkpoints(model, model.base_model.binding)
