from typing import Any

import pytest
import torch
from torch import nn
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
)

from corarec.adapter import LayerPattern
from corarec.adapter.targets import find_targets
from corarec.errors import ConfigError


def _rows(model: nn.Module, roles: list[Any], name: str) -> list[int] | None:
    target = next(target for target in find_targets(model, roles, None) if target.name == name)
    return None if target.rows is None else target.rows.tolist()


def test_star_stands_for_one_name() -> None:
    pattern = LayerPattern(path="model.layers.*.attn.q", roles=("q",))
    assert pattern.matches("model.layers.11.attn.q")
    assert not pattern.matches("model.layers.11.x.attn.q")
    assert not pattern.matches("model.layers.11.attn.q.base_layer")
    assert not pattern.matches("vision.model.layers.1.attn.q")


def test_fused_rows_with_fewer_key_heads() -> None:
    config = Phi3Config(
        vocab_size=8, hidden_size=8, intermediate_size=6, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2, pad_token_id=0,
    )  # fmt: skip
    model = Phi3ForCausalLM(config)  # heads of 2: q has 8 rows, k and v have 4
    name = "model.layers.0.self_attn.qkv_proj"
    assert _rows(model, ["q"], name) == list(range(8))
    assert _rows(model, ["q", "k"], name) == list(range(12))
    assert _rows(model, ["q", "v"], name) == [*range(8), *range(12, 16)]
    assert _rows(model, ["v", "k", "q"], name) is None
    assert _rows(model, ["up"], "model.layers.0.mlp.gate_up_proj") == list(range(6, 12))


def test_fused_rows_inside_each_head() -> None:
    config = GPTNeoXConfig(
        vocab_size=8, hidden_size=4, intermediate_size=6, num_hidden_layers=1, num_attention_heads=2
    )
    model = GPTNeoXForCausalLM(config)  # two heads of 2; each head: q q k k v v
    name = "gpt_neox.layers.0.attention.query_key_value"
    assert _rows(model, ["q"], name) == [0, 1, 6, 7]
    assert _rows(model, ["k", "v"], name) == [2, 3, 4, 5, 8, 9, 10, 11]


def test_conv1d_is_read_the_other_way_round() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_embd=4, n_layer=1, n_head=2, n_positions=8))
    target = find_targets(model, ["q"], None)[0]
    assert (target.in_features, target.out_features) == (4, 12)
    assert target.rows is not None
    assert target.rows.tolist() == [0, 1, 2, 3]
    names = [target.name for target in find_targets(model, ["o"], None)]
    assert names == ["transformer.h.0.attn.c_proj"]


def test_missing_role_names_what_there_is() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_embd=4, n_layer=1, n_head=2, n_positions=8))
    with pytest.raises(ConfigError, match=r"'gpt2' has no linear layer for 'gate'.*no gate.*'up'"):
        find_targets(model, ["q", "gate"], None)


class _Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.ModuleDict({"wq": nn.Linear(3, 4), "n": nn.LayerNorm(3)})])


def test_unknown_architecture_wants_patterns() -> None:
    with pytest.raises(ConfigError, match=r"model type None .*LayerPattern"):
        find_targets(_Own(), ["q"], None)
    layers = [LayerPattern(path="blocks.*.wq", roles=("q",))]
    assert [target.name for target in find_targets(_Own(), ["q"], layers)] == ["blocks.0.wq"]


def test_pattern_without_a_layer_is_an_error() -> None:
    layers = [LayerPattern(path="blocks.*.query", roles=("q",))]
    with pytest.raises(ConfigError, match=r"No layer of _Own holds 'q'.*blocks\.\*\.query"):
        find_targets(_Own(), ["q"], layers)


def test_layer_that_is_not_linear_is_named_with_the_reason() -> None:
    layers = [LayerPattern(path="blocks.*.n", roles=("q",))]
    with pytest.raises(ConfigError, match=r"blocks\.0\.n is a LayerNorm, which is no linear layer"):
        find_targets(_Own(), ["q"], layers)


def test_rows_that_cannot_be_told_apart_are_an_error() -> None:
    layers = [LayerPattern(path="blocks.*.wq", roles=("q", "k", "v"))]
    with pytest.raises(ConfigError, match=r"blocks\.0\.wq has 4 output rows"):
        find_targets(_Own(), ["q"], layers)
    assert find_targets(_Own(), ["q", "k", "v"], layers)[0].rows is None


def test_rows_are_indices() -> None:
    layers = [LayerPattern(path="blocks.*.wq", roles=("gate", "up"))]
    rows = find_targets(_Own(), ["up"], layers)[0].rows
    assert rows is not None
    torch.testing.assert_close(rows, torch.tensor([2, 3]))


def test_towers_that_do_not_read_the_text_are_passed_over() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
                setattr(self, name, nn.Linear(3, 3))

    model = nn.ModuleDict(
        {name: nn.ModuleList([Attention()]) for name in ("vision_tower", "layers")}
    )
    assert [target.name for target in find_targets(model, ["q"], None)] == ["layers.0.q_proj"]


def test_only_the_blocks_that_are_named() -> None:
    model = GPT2LMHeadModel(GPT2Config(vocab_size=8, n_embd=4, n_layer=12, n_head=2, n_positions=8))
    names = [target.name for target in find_targets(model, ["o"], None, [1, 11])]
    assert names == [f"transformer.h.{number}.attn.c_proj" for number in (1, 11)]
    with pytest.raises(ConfigError, match="names block 12, but the blocks .* are 0, 1, .*, 11"):
        find_targets(model, ["o"], None, [0, 12])
