from typing import Any

import pytest

from corarec.errors import ConfigError
from corarec.recommenders.lora import LoraKeys, with_lora
from corarec.testing.language import random_model


def adapted(model: Any) -> set[str]:
    names = (name for name, _ in model.named_parameters() if "lora_A" in name)
    return {".".join(name.split(".")[4:-3]) for name in names}


def test_the_layers_that_are_named_get_a_lora_in_the_blocks_that_are_named() -> None:
    keys = LoraKeys(targets=("q_proj", "mlp.up_proj"), layers_to_transform=(0, 2))
    model = with_lora(random_model(), keys)
    assert adapted(model) == {
        f"{n}.{x}" for n in (0, 2) for x in ("self_attn.q_proj", "mlp.up_proj")
    }


@pytest.mark.parametrize(
    ("model_type", "keys", "message"),
    [
        ("gpt2", {}, r"'q_proj', and GPT2LMHeadModel .* layers: c_attn, c_proj, c_fc\."),
        ("bloom", {}, r"'q_proj'.* layers: query_key_value, dense, dense_h_to_4h"),
        ("llama", {"targets": ("q_proj", "v_prj")}, r"'v_prj'.* layers: q_proj, k_proj, v_proj"),
        ("llama", {"targets": ("proj",)}, r"'proj', and LlamaForCausalLM has no layer"),
        ("llama", {"layers_to_transform": (0, 3)}, r"block 3, and the blocks .* are 0, 1, 2\."),
        ("llama", {"targets": ("norm",)}, r"cannot be put on this model.* layers: q_proj, k_proj"),
    ],
)
def test_a_name_or_a_block_that_is_not_there_is_told_with_those_that_are(
    model_type: str, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"(?s){message}"):
        with_lora(random_model(model_type), LoraKeys(**keys))
