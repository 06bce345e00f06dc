import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers.processors import TemplateProcessing
from transformers import (
    BartConfig,
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from corarec.backbone.checks import check_architecture, check_device
from corarec.backbone.load import BackboneConfig, load_backbone
from corarec.errors import ArtifactError, ConfigError


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
@pytest.mark.parametrize("random_weights", [False, True])
def test_a_gpu_where_there_is_none(tiny_folder: Path, random_weights: bool) -> None:
    config = BackboneConfig(
        model=str(tiny_folder), device_map="cuda", random_weights=random_weights
    )
    with pytest.raises(ConfigError, match="asks for a GPU, but torch .* sees none"):
        load_backbone(config)


def test_devices() -> None:
    check_device(None, random_weights=False)
    check_device("cpu", random_weights=True)
    check_device("auto", random_weights=False)
    with pytest.raises(ConfigError, match="gpu7` is no device"):
        check_device("gpu7", random_weights=False)
    with pytest.raises(ConfigError, match="`random_weights` has none"):
        check_device("auto", random_weights=True)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (BertConfig(), r"an encoder \(bert\)"),
        (BartConfig(), r"an encoder with a decoder \(bart\)"),
        (DistilBertConfig(), "no causal language model for"),
    ],
)
def test_models_that_do_not_continue_a_text(
    config: BertConfig | BartConfig | DistilBertConfig, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_architecture("x", config)


def test_models_that_do() -> None:
    for config in (GPT2Config(), LlamaConfig(), BertConfig(is_decoder=True)):
        check_architecture("x", config)


def test_a_weight_that_is_not_in_the_files_is_not_made_up(tiny_folder: Path) -> None:
    path = tiny_folder / "model.safetensors"
    weights = load_file(path)
    del weights["model.layers.0.self_attn.q_proj.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match=r"lack 1 of its weights, such as model\.layers\.0"):
        load_backbone(BackboneConfig(model=str(tiny_folder)))


def test_a_tokenizer_of_another_model(
    tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    shape = LlamaConfig(
        vocab_size=100,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
    )
    LlamaForCausalLM(shape).save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ArtifactError, match="embeddings for 100 only"):
        load_backbone(BackboneConfig(model=str(tmp_path)))


def test_a_start_token_without_an_embedding(tiny_folder: Path) -> None:
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tiny_folder)
    tokenizer.add_tokens(["<start>"], special_tokens=True)
    start = ("<start>", len(tokenizer) - 1)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<start> $A", special_tokens=[start]
    )
    tokenizer.save_pretrained(tiny_folder)
    with pytest.raises(ArtifactError, match="belongs to another model"):
        load_backbone(BackboneConfig(model=str(tiny_folder)))


def test_an_attention_whose_package_is_missing(tiny_folder: Path) -> None:
    config = BackboneConfig(model=str(tiny_folder), attention="flash_attention_2")
    with pytest.raises(ConfigError, match="FlashAttention2.*change `attention`"):
        load_backbone(config)


def test_weights_that_were_quantised_by_a_package_that_is_missing(tiny_folder: Path) -> None:
    path = tiny_folder / "config.json"
    quantised = {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    path.write_text(json.dumps(json.loads(path.read_text()) | quantised))
    with pytest.raises(ConfigError, match="Install the package"):
        load_backbone(BackboneConfig(model=str(tiny_folder)))
