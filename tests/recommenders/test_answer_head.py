import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from transformers import AutoConfig, AutoModelForCausalLM

from corarec.recommenders.answer_head import AnswerHead

IDS = torch.randint(3, 50, (6, 5), generator=torch.Generator().manual_seed(0))
YES, NO = 7, 9


def _model(model_type: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        model_type, vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, initializer_range=0.2, **changes,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)


@torch.no_grad()
def _answers(model: Any) -> torch.Tensor:
    with AnswerHead((YES, NO)).precise(model):
        logits: torch.Tensor = model(IDS, logits_to_keep=1).logits
    return logits[:, -1, [YES, NO]]


@torch.no_grad()
def _wanted(model: Any) -> torch.Tensor:
    """The hidden states of the 16-bit model under the output layer of its float32 twin."""
    hidden = model.model(IDS).last_hidden_state[:, -1:].float()
    twin = type(model)(model.config)
    twin.load_state_dict(model.state_dict())
    twin.float().eval()
    twin.model.forward = lambda *_, **__: type("Output", (), {
        "last_hidden_state": hidden, "past_key_values": None, "hidden_states": None,
        "attentions": None,
    })()  # fmt: skip
    logits: torch.Tensor = twin(IDS, logits_to_keep=1).logits
    return logits[:, -1, [YES, NO]]


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True}),
        ("gemma2", {"head_dim": 8, "final_logit_softcapping": 3.0}),
        ("cohere", {"logit_scale": 0.25}),
        ("granite", {"logits_scaling": 8.0}),
    ],
)
def test_answers_of_a_16_bit_model_are_those_of_a_float32_head(
    model_type: str, changes: dict[str, Any]
) -> None:
    model = _model(model_type, **changes).bfloat16()
    answers = _answers(model)
    assert answers.dtype == torch.float32
    torch.testing.assert_close(answers, _wanted(model), rtol=1e-5, atol=1e-6)
    assert not torch.equal(answers, answers.bfloat16().float())


def test_float32_model_is_left_alone_bit_for_bit() -> None:
    model = _model("llama")
    with torch.no_grad():
        plain = model(IDS, logits_to_keep=1).logits[:, -1, [YES, NO]]
    assert torch.equal(_answers(model), plain)


def test_gradient_reaches_the_hidden_states() -> None:
    model = _model("llama").bfloat16()
    embedded = model.get_input_embeddings()(IDS).requires_grad_()
    with AnswerHead((YES, NO)).precise(model):
        logits = model(inputs_embeds=embedded, logits_to_keep=1).logits
    torch.autograd.backward(logits[:, -1, YES].sum())
    assert embedded.grad.abs().max() > 0


def test_head_that_computes_something_else_is_left_alone() -> None:
    model = _model("llama").bfloat16()
    model.lm_head.register_forward_hook(lambda _, inputs, output: -output)
    with torch.no_grad():
        plain = model(IDS, logits_to_keep=1).logits[:, -1, [YES, NO]]
    assert torch.equal(_answers(model), plain)


class _Comparisons(TorchFunctionMode):
    """Counts how often a number of a tensor is asked for, for which a GPU must be waited for."""

    count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.Tensor.__bool__
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def test_output_layer_is_compared_once() -> None:
    model = _model("llama").bfloat16()
    head = AnswerHead((YES, NO))
    hidden = torch.randn(2, 1, 32).bfloat16()

    def compared() -> int:
        with head.precise(model), _Comparisons() as mode:
            model.lm_head(hidden)
        return mode.count

    assert [compared() for _ in range(3)] == [1, 0, 0]
    model.lm_head.weight = nn.Parameter(model.lm_head.weight.detach().clone())
    assert [compared(), compared()] == [1, 0]
    copied = copy.deepcopy(head)
    assert copied.rows.equal(head.rows)


@torch.no_grad()
def test_output_layer_that_changes_later_is_seen() -> None:
    model = _model("llama").bfloat16()
    head = AnswerHead((YES, NO))
    with head.precise(model):
        assert model(IDS, logits_to_keep=1).logits.dtype == torch.float32
    model.lm_head.register_forward_hook(lambda _, inputs, output: -output)
    plain = model(IDS, logits_to_keep=1).logits
    with head.precise(model):
        assert torch.equal(model(IDS, logits_to_keep=1).logits, plain)


class _Wrapped(nn.Linear):
    """Stands for an output layer that an adapter or a quantisation library replaced."""


def test_output_layer_of_another_kind_is_left_alone() -> None:
    model = _model("llama").bfloat16()
    model.lm_head.__class__ = _Wrapped
    assert _answers(model).dtype == torch.bfloat16
    assert not model.lm_head._forward_hooks
