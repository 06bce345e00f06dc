"""A pair's increment as a LoRA that PEFT runs by itself."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from corarec.adapter import CoraConfig, GeneratorConfig, LayerPattern, export_lora
from corarec.errors import ConfigError, DataError

TOLERANCE = 1e-5
COMMON: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2 = {"n_positions": 64, "n_embd": 32, "n_layer": 3, "n_head": 4}
ALL = ["q", "k", "v", "o", "up", "down"]

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], list[str]]] = {
    "llama": (
        "llama",
        {"num_key_value_heads": 2},
        {},
        ["k_proj", "o_proj", "q_proj", "v_proj"],
    ),
    "feed-forward": (
        "llama",
        {},
        {"target_modules": [*ALL, "gate"], "alpha": 5.5},
        ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"],
    ),
    "some blocks": (
        "llama",
        {},
        {"target_modules": ["q"], "layers_to_transform": [0, 2]},
        ["0.self_attn.q_proj", "2.self_attn.q_proj"],
    ),
    "Conv1D": ("gpt2", GPT2, {}, ["attn.c_proj", "c_attn"]),
    "rows of a fused Conv1D": ("gpt2", GPT2, {"target_modules": ["q", "v"]}, ["c_attn"]),
    "rows of a fused layer": (
        "phi3",
        {"num_key_value_heads": 2},
        {"target_modules": ["k", "o"]},
        ["o_proj", "qkv_proj"],
    ),
    "rows inside heads": (
        "gpt_neox",
        {},
        {"target_modules": ["q", "v"]},
        ["query_key_value"],
    ),
    "o of another width": (
        "qwen3",
        {"num_key_value_heads": 2, "head_dim": 16},
        {},
        ["k_proj", "o_proj", "q_proj", "v_proj"],
    ),
    "experts": (
        "mixtral",
        {"num_key_value_heads": 2, "num_local_experts": 4},
        {},
        ["k_proj", "o_proj", "q_proj", "v_proj"],
    ),
}


def backbone(case: str) -> PreTrainedModel:
    model_type, sizes, _, _ = CASES[case]
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **(COMMON | {"initializer_range": 0.1} | sizes))
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config)
    return model.eval()


def batch(rows: int) -> dict[str, torch.Tensor]:
    input_ids = torch.randint(3, 50, (3, 6), generator=torch.Generator().manual_seed(1))
    input_ids[0, :2] = 0
    return {"input_ids": input_ids[:rows], "attention_mask": (input_ids != 0).long()[:rows]}


def adapted(case: str, randomize: Callable[..., None]) -> PeftModel:
    options = {"r": 3, "alpha": 6.0} | CASES[case][2]
    config = CoraConfig(generator=GeneratorConfig.preset("fit", 4), **options)
    model = get_peft_model(backbone(case), config).eval()
    randomize(model)
    return model


@pytest.mark.parametrize("case", CASES)
def test_pefts_own_lora_gives_every_logit_of_cora(
    case: str, randomize: Callable[..., None], tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    model = adapted(case, randomize)
    backbone(case).save_pretrained(tmp_path / "plain")
    vectors = torch.randn(2, 8, generator=torch.Generator().manual_seed(2))
    vectors[1, 4:] = 0  # an unknown item
    for number, pair in enumerate(vectors):
        folder = tmp_path / str(number)
        folder.mkdir()
        export_lora(model.base_model, pair, folder, base_model=str(tmp_path / "plain"))
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == str(tmp_path / "plain")
        assert config["target_modules"] == CASES[case][3]
        assert config["peft_type"] == "LORA"
        recwarn.clear()
        plain = AutoModelForCausalLM.from_pretrained(config["base_model_name_or_path"])
        lora = PeftModel.from_pretrained(plain, str(folder)).eval()
        said = [str(warning.message) for warning in recwarn]
        assert not [words for words in said if "keys" in words or "fan_in" in words]
        with torch.no_grad():
            logits = lora(**batch(3)).logits[:, -1]
            wanted = model(**batch(3), cf_vectors=pair.expand(3, -1)).logits[:, -1]
            frozen = backbone(case)(**batch(3)).logits[:, -1]
        assert (wanted - frozen).abs().max() > 1e-2
        torch.testing.assert_close(logits, wanted, rtol=0, atol=TOLERANCE)


def test_rows_that_are_not_adapted_are_zero(randomize: Callable[..., None], tmp_path: Path) -> None:
    model = adapted("rows of a fused Conv1D", randomize)
    export_lora(model.base_model, torch.randn(8), tmp_path, base_model="x", revision="r1")
    weights = load_file(tmp_path / "adapter_model.safetensors")
    up = weights["base_model.model.transformer.h.0.attn.c_attn.lora_B.weight"]
    assert up.shape == (96, 3)
    assert up[:32].all()
    assert up[64:].all()
    assert not up[32:64].any()
    down = weights["base_model.model.transformer.h.0.attn.c_attn.lora_A.weight"]
    assert down.shape == (3, 32)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert (config["fan_in_fan_out"], config["revision"], config["lora_alpha"]) == (True, "r1", 6)
    assert isinstance(config["lora_alpha"], int)


def test_a_model_in_training_is_exported_as_in_evaluation(model: PeftModel, tmp_path: Path) -> None:
    pair = torch.randn(6, generator=torch.Generator().manual_seed(4))
    written = []
    for training in (False, True):
        model.train(training)
        export_lora(model.base_model, pair, tmp_path, base_model="x")
        assert model.base_model.cora_generator.training is training
        written.append((tmp_path / "adapter_model.safetensors").read_bytes())
    assert written[0] == written[1]


def test_a_layer_at_several_places_is_refused(
    make_llama: Callable[..., PreTrainedModel],
    make_config: Callable[..., CoraConfig],
    tmp_path: Path,
) -> None:
    llama: Any = make_llama()
    llama.model.layers[1].self_attn.q_proj = llama.model.layers[0].self_attn.q_proj
    path = "model.layers.*.self_attn.q_proj"
    layers = [LayerPattern(path=path, roles=("q",))]
    model = get_peft_model(llama, make_config(layers=layers, target_modules=["q"]))
    with pytest.raises(ConfigError, match="one layer that stands at several places"):
        export_lora(model.base_model, torch.randn(6), tmp_path, base_model="x")
    assert not list(tmp_path.iterdir())


def test_a_block_that_is_used_twice_is_written_under_both_names(
    make_llama: Callable[..., PreTrainedModel],
    make_config: Callable[..., CoraConfig],
    randomize: Callable[..., None],
    tmp_path: Path,
) -> None:
    def shared() -> Any:
        llama: Any = make_llama()
        llama.model.layers[1] = llama.model.layers[0]
        return llama

    model = get_peft_model(shared(), make_config()).eval()
    randomize(model)
    pair = torch.randn(6)
    export_lora(model.base_model, pair, tmp_path, base_model="x")
    lora = PeftModel.from_pretrained(shared(), str(tmp_path)).eval()
    ids = torch.randint(1, 40, (1, 5))
    with torch.no_grad():
        wanted = model(input_ids=ids, cf_vectors=pair[None], use_cache=False).logits
        logits = lora(input_ids=ids, use_cache=False).logits
    torch.testing.assert_close(logits, wanted, rtol=0, atol=TOLERANCE)


def test_vectors_of_another_size_are_refused(model: PeftModel, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\[1, 5\]"):
        export_lora(model.base_model, torch.randn(5), tmp_path, base_model="x")
    assert not list(tmp_path.iterdir())
