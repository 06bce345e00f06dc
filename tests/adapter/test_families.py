"""The contract on small models of many families, as `benchmarks/architectures.py` states it."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from peft import get_peft_model

from corarec.adapter import CoraConfig, GeneratorConfig
from corarec.adapter.targets import find_targets
from corarec.errors import ConfigError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def _script() -> Any:
    spec = importlib.util.spec_from_file_location("families", BENCHMARKS / "architectures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SCRIPT = _script()
RESULT = json.loads((BENCHMARKS / "results" / "architectures.json").read_text("utf-8"))
FAMILIES = RESULT["families"]
WORKING = [family for family, record in FAMILIES.items() if record.get("holds")]

COMMON = (
    "opt bloom falcon gptj gpt_neo codegen phi phi3 stablelm starcoder2 cohere cohere2 granite "
    "granitemoe glm glm4 exaone4 smollm3 ernie4_5 gpt_oss hunyuan_v1_dense nemotron olmo olmo2 "
    "olmo3 qwen2 qwen2_moe qwen3 qwen3_moe qwen3_next mixtral mpt gpt2 gpt_neox gpt_bigcode "
    "gemma gemma2 gemma3 llama llama4_text mistral bamba jamba zamba2 deepseek_v2 deepseek_v3 "
    "minimax persimmon xglm biogpt"
)


def test_families_in_use_hold_the_contract_in_every_block_with_attention() -> None:
    assert set(COMMON.split()) <= set(WORKING)
    for family in WORKING:
        record = FAMILIES[family]
        assert record["blocks"] == record["attention_blocks"] > 0, family
        assert {"q", "k", "v", "o"} <= set(record["roles"]), family


def test_every_family_of_the_installed_version_is_in_the_result() -> None:
    if RESULT["transformers"] != transformers.__version__:
        pytest.skip(f"the result is of transformers {RESULT['transformers']}")
    assert set(FAMILIES) == set(SCRIPT.families())


@pytest.mark.parametrize(
    "family",
    [
        "deepseek_v3",
        "falcon, new_decoder_architecture",
        "jamba",
        "kimi_linear",
        "minimax",
        "mpt",
        "qwen3_next",
    ],
)
def test_contract(family: str) -> None:
    record = SCRIPT.examine(family)
    assert record.get("fails") is None
    assert record == FAMILIES[family]


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_family_is_as_the_result_says(family: str) -> None:
    if RESULT["transformers"] != transformers.__version__:
        pytest.skip(f"the result is of transformers {RESULT['transformers']}")
    assert SCRIPT.examine(family) == FAMILIES[family]


def _meta(family: str) -> Any:
    with torch.device("meta"):
        return transformers.AutoModelForCausalLM.from_config(SCRIPT.small_config(family))


def test_recurrent_blocks_that_bear_the_names_of_an_attention_are_left() -> None:
    """Blocks 0 and 2 of this model are recurrent and have a `q_proj`, too."""
    names = [target.name for target in find_targets(_meta("kimi_linear"), ["q", "o"], None)]
    blocks = {name.split(".")[2] for name in names}
    assert blocks == {"1", "3"}
    assert "model.layers.1.self_attn.q_b_proj" in names
    lightning = find_targets(_meta("minimax"), ["q", "o"], None)
    assert {target.name.rpartition(".")[2] for target in lightning} == {"q_proj", "o_proj"}


def test_attention_to_another_input_is_left() -> None:
    for family in ("trocr", "mllama"):
        names = [target.name for target in find_targets(_meta(family), ["q", "v"], None)]
        assert names
        assert all(".self_attn." in name for name in names)


@pytest.mark.parametrize("family", ["mamba2", "rwkv", "xlstm", "falcon_mamba"])
def test_model_without_attention_is_refused_with_its_layers(family: str) -> None:
    with pytest.raises(ConfigError, match=r"no attention.*LayerPattern\(path='\w+\.\w+\.\*\."):
        find_targets(_meta(family), ["q"], None)


def test_one_role_of_a_latent_attention_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"kv_b_proj holds 'k', 'v' in one weight"):
        find_targets(_meta("deepseek_v3"), ["q", "v"], None)


def test_feed_forward_that_reads_all_tokens_in_one_row_is_refused_by_name() -> None:
    generator = GeneratorConfig.preset("fit", 4)
    model = SCRIPT.small_model(SCRIPT.small_config("opt"))
    adapted = get_peft_model(model, CoraConfig(generator=generator, targets=["q", "up"]))
    with pytest.raises(ConfigError, match=r"layers\.0\.fc1 gets an input of the shape \[6, 32\]"):
        adapted(torch.ones(2, 3, dtype=torch.int64), cf_vectors=torch.ones(2, 8))
