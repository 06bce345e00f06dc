import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from corarec.backbone.sharing import NotSharedError, PrefixSharing, join
from corarec.backbone.splitting import SplitPrompts, split_prompts
from corarec.testing.language import random_model, random_prompts


def _prompts() -> dict[str, torch.Tensor]:
    prompts = random_prompts()
    positions = (prompts["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    return prompts | {"position_ids": positions}


def _split() -> SplitPrompts:
    prompts = _prompts()
    split = split_prompts(prompts["input_ids"], prompts["attention_mask"], torch.tensor([6, 6, 7]))
    assert split is not None
    return split


def _shared(sharing: PrefixSharing, split: SplitPrompts) -> torch.Tensor:
    prefixes = sharing.read(split.prefix_ids)
    with sharing.joined(prefixes, split) as mask, torch.no_grad():
        logits: torch.Tensor = sharing.model(
            input_ids=split.suffix_ids,
            attention_mask=mask,
            position_ids=split.position_ids,
            use_cache=False,
        ).logits
    return logits[:, -1]


@torch.no_grad()
def _whole(model: PreTrainedModel) -> torch.Tensor:
    logits: torch.Tensor = model(**_prompts(), use_cache=False).logits
    return logits[:, -1]


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_whole_prompts_have_the_bits_of_before(attention: str) -> None:
    model = random_model(attn_implementation=attention)
    before = _whole(model)
    PrefixSharing(model)
    assert torch.equal(_whole(model), before)
    assert PrefixSharing(model).model is model  # a second one on the same model
    assert torch.equal(_whole(model), before)


def test_threads_share_a_model() -> None:
    """While one thread stands between prefix and suffix, others read whole prompts."""
    model = random_model()
    sharing = PrefixSharing(model)
    expected, found = _whole(model), []
    split = _split()
    with sharing.joined(sharing.read(split.prefix_ids), split):
        thread = threading.Thread(target=lambda: found.append(_whole(model)))
        thread.start()
        thread.join()
    assert torch.equal(found[0], expected)
    torch.testing.assert_close(_shared(sharing, split), expected, rtol=1e-5, atol=1e-5)


def test_prefixes_that_all_rows_share_are_read_once() -> None:
    model = random_model()
    sharing = PrefixSharing(model)
    prompts = _prompts()
    ids = prompts["input_ids"][1:2].repeat(5, 1)
    ids[:, 6:] = torch.randint(3, 50, (5, 4), generator=torch.Generator().manual_seed(2))
    split = split_prompts(ids, torch.ones_like(ids), torch.full((5,), 6))
    assert split is not None
    assert split.prefix_ids.shape == (1, 6)
    with torch.no_grad():
        whole = model(input_ids=ids, use_cache=False).logits[:, -1]
    torch.testing.assert_close(_shared(sharing, split), whole, rtol=1e-5, atol=1e-5)


def test_the_last_block_stops_at_its_attention() -> None:
    model = random_model()
    sharing = PrefixSharing(model)
    called: list[int] = []
    for number, block in enumerate(model.model.layers):
        block.mlp.register_forward_hook(lambda *_, number=number: called.append(number))
    sharing.read(_split().prefix_ids)
    assert called == [0, 1]


@pytest.mark.parametrize("window", [4, 64])
def test_windows_are_wide_enough_or_prompts_are_not_shared(window: int) -> None:
    model = random_model("mistral", sliding_window=window)
    if window == 4:
        with pytest.raises(NotSharedError, match="far enough back"):
            PrefixSharing(model)
        assert model.config._attn_implementation == "sdpa"
        return
    sharing = PrefixSharing(model)
    torch.testing.assert_close(_shared(sharing, _split()), _whole(model), rtol=1e-5, atol=1e-5)
    assert sharing.holds(_split())
    long = torch.ones(1, 65, dtype=torch.int64)
    split = split_prompts(long, long, torch.tensor([60]))
    assert split is not None
    assert not sharing.holds(split)


def test_rotations_that_change_with_the_length_bound_what_is_shared() -> None:
    rope = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    sharing = PrefixSharing(random_model(rope_parameters=rope, max_position_embeddings=16))
    assert sharing.reach == 16


def test_soft_caps_of_scores_are_kept() -> None:
    model = random_model(
        "gemma2", head_dim=8, attn_logit_softcapping=1.0, attn_implementation="eager"
    )
    model.model.layers[0].self_attn.scaling = 1.0
    sharing = PrefixSharing(model)
    torch.testing.assert_close(_shared(sharing, _split()), _whole(model), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("mamba", {"state_size": 4}),
        ("jamba", {"num_experts": 2, "mamba_d_state": 4, "use_mamba_kernels": False}),
        ("gpt_oss", {"num_local_experts": 2, "num_experts_per_tok": 2, "head_dim": 8}),
        ("gpt_neo", {"attention_types": [[["global"], 3]], "num_layers": 3, "num_heads": 4}),
    ],
)
def test_models_whose_prefix_is_more_than_keys_and_values_are_left_alone(
    model_type: str, changes: dict[str, Any]
) -> None:
    model = random_model(model_type, **changes)
    own, before = model.config._attn_implementation, _whole_without_positions(model)
    with pytest.raises(NotSharedError):
        PrefixSharing(model)
    assert model.config._attn_implementation == own
    assert torch.equal(_whole_without_positions(model), before)


@torch.no_grad()
def _whole_without_positions(model: PreTrainedModel) -> torch.Tensor:
    ids = _prompts()["input_ids"][1:]
    logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits
    return logits


def test_a_model_that_answers_otherwise_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(*arguments: Any, **options: Any) -> torch.Tensor:
        return 0.9 * join(*arguments, **options)

    monkeypatch.setattr("corarec.backbone.sharing.join", forgetful)
    model = random_model()
    with pytest.raises(NotSharedError, match=r"differ by .* of the largest, more than 0.0001"):
        PrefixSharing(model)
    assert model.config._attn_implementation == "sdpa"


def test_an_attention_that_we_cannot_stand_in_front_of() -> None:
    model = random_model()
    model.config._attn_implementation = "flex_attention"
    with pytest.raises(NotSharedError, match="'flex_attention'"):
        PrefixSharing(model)


@pytest.mark.slow
def test_compiled_blocks_are_the_same_for_every_layer_and_length() -> None:
    model = random_model(num_hidden_layers=4)
    sharing = PrefixSharing(model)
    split = _split()
    expected = _shared(sharing, split)
    torch._dynamo.reset()
    for block in model.model.layers:
        block.compile(dynamic=True, backend="eager")
    torch.testing.assert_close(_shared(sharing, split), expected, rtol=1e-5, atol=1e-5)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for width in (5, 8):
        ids = torch.randint(3, 50, (4, width + 3), generator=torch.Generator().manual_seed(1))
        other = split_prompts(ids, torch.ones_like(ids), torch.tensor([width] * 4))
        assert other is not None
        _shared(sharing, other)
        if width == 5:
            first = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == first
    assert first <= graphs + 4
    torch._dynamo.reset()


def test_an_error_within_leaves_nothing_behind() -> None:
    model = random_model()
    sharing = PrefixSharing(model)
    expected = _whole(model)
    split = _split()
    with pytest.raises(ZeroDivisionError), sharing.joined(sharing.read(split.prefix_ids), split):
        raise ZeroDivisionError
    assert torch.equal(_whole(model), expected)
    with pytest.raises(IndexError):
        sharing.read(torch.full((1, 3), 10_000))
    assert torch.equal(_whole(model), expected)


@pytest.mark.parametrize("one_for_all", [True, False])
def test_join_equals_the_attention_of_transformers(
    one_for_all: bool, make_module: Callable[[], torch.nn.Module]
) -> None:
    rng = torch.Generator().manual_seed(0)
    query = torch.randn(3, 4, 2, 8, generator=rng)
    key, value = (torch.randn(3, 2, 2, 8, generator=rng) for _ in range(2))
    rows = 1 if one_for_all else 3
    past_key, past_value = (torch.randn(rows, 2, 5, 8, generator=rng) for _ in range(2))
    visible = torch.ones(3, 1, 2, 7, dtype=torch.bool)
    visible[:, :, 0, 6] = False
    visible[1, :, :, 3:5] = False
    mask = torch.zeros(3, 1, 2, 7).masked_fill(~visible, torch.finfo(torch.float32).min)
    keys = torch.cat([past_key.expand(3, -1, -1, -1), key], dim=2)
    values = torch.cat([past_value.expand(3, -1, -1, -1), value], dim=2)
    expected, _ = sdpa_attention_forward(make_module(), query, keys, values, visible, scaling=0.3)
    got = join(query, key, value, past_key, past_value, mask, 0.3)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def make_module() -> Callable[[], torch.nn.Module]:
    def make() -> torch.nn.Module:
        module = torch.nn.Module()
        module.num_key_value_groups = 2  # type: ignore[assignment]
        return module

    return make
