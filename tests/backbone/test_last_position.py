import threading
from copy import deepcopy
from typing import Any

import pytest
import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from corarec.backbone.attention import EnoughError, NotSharedError, _in_front_of
from corarec.backbone.compiling import is_compiled
from corarec.backbone.last_position import LastPosition
from corarec.backbone.sharing import PrefixSharing
from corarec.backbone.splitting import split_prompts
from corarec.testing.language import random_model, random_prompts


@torch.no_grad()
def _logits(model: PreTrainedModel) -> torch.Tensor:
    logits: torch.Tensor = model(**random_prompts(), use_cache=False).logits
    return logits


LLAMA_LIKE = ["llama", "qwen3", "cohere", "olmo2", "gpt_neox", "phi", "phi3"]
OTHERS: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64},
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "gemma3_text": {"head_dim": 8, "sliding_window": 4},
    "mistral": {"sliding_window": 4},
    "mixtral": {"num_local_experts": 2, "num_experts_per_tok": 1},
}
FAMILIES: dict[str, dict[str, Any]] = {name: {} for name in LLAMA_LIKE} | OTHERS


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("model_type", FAMILIES)
def test_the_last_position_answers_as_the_whole_model(model_type: str, attention: str) -> None:
    model = random_model(model_type, attn_implementation=attention, **FAMILIES[model_type])
    before = _logits(model)
    last = LastPosition(model)
    assert torch.equal(_logits(model), before)
    with last.only():
        found = _logits(model)
    torch.testing.assert_close(found[:, -1], before[:, -1], rtol=1e-5, atol=1e-5)
    assert torch.equal(_logits(model), before)


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("gptj", {"n_embd": 32, "n_layer": 3, "n_head": 4, "rotary_dim": 4}),
        ("bloom", {"n_layer": 3, "n_head": 4}),
        ("mamba", {"state_size": 4}),
        ("falcon_h1", {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_state": 4}),
    ],
)
def test_models_whose_last_block_reads_more_than_keys_and_values_are_left_alone(
    model_type: str, changes: dict[str, Any]
) -> None:
    model = random_model(model_type, **changes)
    own, before = model.config._attn_implementation, _logits(model)
    with pytest.raises(NotSharedError):
        LastPosition(model)
    assert model.config._attn_implementation == own
    assert all(module._compiled_call_impl is None for module in model.modules())
    assert torch.equal(_logits(model), before)


def test_the_last_block_reads_one_token_but_for_keys_and_values() -> None:
    model = random_model()
    last = LastPosition(model)
    read: dict[str, list[int]] = {}
    for name, layer in model.model.layers[-1].named_modules():
        if isinstance(layer, torch.nn.Linear):
            layer.register_forward_pre_hook(
                lambda _, inputs, name=name: read.setdefault(name, []).append(inputs[0].shape[1])
            )
    with last.only():
        _logits(model)
    everything = {"self_attn.k_proj": [10, 1], "self_attn.v_proj": [10, 1]}
    once = ["self_attn.q_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
    assert read == everything | {name: [1] for name in once}


def test_it_stands_beside_a_shared_prefix() -> None:
    model = random_model()
    before = _logits(model)
    last, sharing = LastPosition(model), PrefixSharing(model)
    prompts = random_prompts()
    ids, mask = prompts["input_ids"], prompts["attention_mask"]
    split = split_prompts(ids, mask, torch.tensor([6, 6, 7]))
    assert split is not None
    prefixes = sharing.read(split.prefix_ids)
    with sharing.joined(prefixes, split) as joined, torch.no_grad(), last.only():
        found = model(
            input_ids=split.suffix_ids,
            attention_mask=joined,
            position_ids=split.position_ids,
            use_cache=False,
        ).logits
    assert found.shape[1] == 1
    torch.testing.assert_close(found[:, -1], before[:, -1], rtol=1e-5, atol=1e-5)


def test_a_model_that_answers_otherwise_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "corarec.backbone.last_position"
    monkeypatch.setattr(f"{module}._of_last", lambda value, length: value)
    model = random_model()
    before = _logits(model)
    monkeypatch.setattr(f"{module}._KeysOfAll.take", _forgetful)
    with pytest.raises(NotSharedError, match=r"differ by .* of the largest, more than 1e-05"):
        LastPosition(model)
    assert torch.equal(_logits(model), before)


def _forgetful(self: Any, key: Any, value: Any, mask: Any, options: Any) -> Any:
    if self.kept is None:
        self.kept = key, value
        raise EnoughError
    return key, 0.9 * value, mask, options


def test_threads_share_a_model() -> None:
    model = random_model()
    last = LastPosition(model)
    expected, found = _logits(model), []
    with last.only():
        thread = threading.Thread(target=lambda: found.append(_logits(model)))
        thread.start()
        thread.join()
    assert torch.equal(found[0], expected)


def test_an_error_within_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model()
    last = LastPosition(model)
    expected = _logits(model)
    with monkeypatch.context() as patch, last.only():
        patch.setattr(model.model.layers[-1].mlp, "forward", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            _logits(model)
    assert torch.equal(_logits(model), expected)
    with last.only():
        assert _logits(model).shape[1] == 1


def test_compiled_blocks_stay_so_outside_and_a_copy_is_a_plain_model() -> None:
    model = random_model()
    expected = _logits(model)
    torch._dynamo.reset()
    for block in model.model.layers:
        block.compile(dynamic=True, backend="eager")
    last = LastPosition(model)
    assert all(is_compiled(block) for block in model.model.layers)
    with last.only():
        torch.testing.assert_close(_logits(model)[:, -1], expected[:, -1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(_logits(model), expected, rtol=1e-5, atol=1e-5)
    copied = deepcopy(model)
    assert not any(is_compiled(module) for module in copied.modules())
    torch.testing.assert_close(_logits(copied), expected, rtol=1e-5, atol=1e-5)
    torch._dynamo.reset()


def test_a_second_one_on_the_same_model_is_the_same() -> None:
    model = random_model()
    before = _logits(model)
    first, second = LastPosition(model), LastPosition(model)
    assert first.block is second.block
    assert not is_compiled(first.block)
    with second.only():
        torch.testing.assert_close(_logits(model)[:, -1], before[:, -1], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("model_type", ["llama", "gemma3_text", "gpt2"])
def test_queries_of_16_bit_weights_go_in_blocks(
    model_type: str, padded: bool, attention: str
) -> None:
    changes = FAMILIES[model_type] | {"attn_implementation": attention}
    model = random_model(model_type, **changes).bfloat16()
    prompts = random_prompts()
    if not padded:
        prompts = {name: values[1:] for name, values in prompts.items()}
    last = LastPosition(model)
    seen: list[int] = []
    reached = _of_registry(model)

    def counted(module: Any, query: Any, key: torch.Tensor, *rest: Any, **more: Any) -> Any:
        seen.append(key.shape[2])
        return reached(module, query, key, *rest, **more)

    own = model.config._attn_implementation
    AttentionInterface.register(own, _in_front_of(counted))
    try:
        with torch.no_grad():
            whole = model(**prompts, use_cache=False).logits[:, -1]
            assert seen == [10] * 3
            seen.clear()
            with last.only():
                found = model(**prompts, use_cache=False).logits[:, -1]
    finally:
        AttentionInterface.register(own, _in_front_of(reached))
    assert seen == [4, 8, 10] * 2 + [10]
    torch.testing.assert_close(found, whole, rtol=0.05, atol=0.05)


def test_a_model_that_looks_ahead_does_not_go_in_blocks() -> None:
    """The mask says so to nobody; its answers in the trial would differ."""
    model = random_model(attn_implementation="sdpa").bfloat16()
    for layer in model.model.layers:
        layer.self_attn.register_forward_pre_hook(
            lambda module, args, kwargs: (args, kwargs | {"attention_mask": _all(kwargs)}),
            with_kwargs=True,
        )
    with pytest.raises(NotSharedError, match="answers then differ"):
        LastPosition(model)


def _all(kwargs: dict[str, Any]) -> torch.Tensor:
    length = kwargs["hidden_states"].shape[1]
    return torch.zeros(1, 1, length, length, dtype=torch.bfloat16)


def _of_registry(model: PreTrainedModel) -> Any:
    """Return the attention that ours stands in front of."""
    registered = ALL_ATTENTION_FUNCTIONS[model.config._attn_implementation]
    names = dict(zip(registered.__code__.co_freevars, registered.__closure__ or (), strict=True))
    return names["own"].cell_contents
