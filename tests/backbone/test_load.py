import importlib.util
import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

from corarec.backbone.load import BackboneConfig, load_backbone
from corarec.errors import ArtifactError, ConfigError


def test_loaded_frozen(tiny_folder: Path) -> None:
    backbone = load_backbone(BackboneConfig(model=str(tiny_folder)))
    assert not backbone.model.training
    assert not any(weight.requires_grad for weight in backbone.model.parameters())
    assert backbone.model.dtype == torch.float32
    assert backbone.tokenizer.padding_side == "left"
    assert backbone.tokenizer.pad_token is not None
    assert backbone.answers.texts == (" Yes", " No")
    assert backbone.frame.wrap("x") == "x"


def test_dtype_and_attention(tiny_folder: Path) -> None:
    config = BackboneConfig(model=str(tiny_folder), dtype="bfloat16", attention="eager")
    model = load_backbone(config).model
    assert model.dtype == torch.bfloat16
    assert model.config._attn_implementation == "eager"


def test_random_weights_are_the_same_shape_and_seeded(tiny_folder: Path) -> None:
    real = load_backbone(BackboneConfig(model=str(tiny_folder)))
    state = torch.random.get_rng_state()
    names = [
        load_backbone(BackboneConfig(model=str(tiny_folder), random_weights=True, seed=seed))
        for seed in (0, 0, 1)
    ]
    assert torch.equal(torch.random.get_rng_state(), state)
    prints = [backbone.fingerprint for backbone in names]
    assert prints[0] == prints[1]
    assert len({real.fingerprint, *prints}) == 3
    shapes = [
        {name: weight.shape for name, weight in backbone.model.named_parameters()}
        for backbone in (real, names[0])
    ]
    assert shapes[0] == shapes[1]
    assert names[0].answers == real.answers


@pytest.mark.parametrize("bits", [4, 8])
def test_quantising_without_the_package(
    tiny_folder: Path, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    config = BackboneConfig(model=str(tiny_folder)).model_copy(update={f"load_in_{bits}bit": True})
    with pytest.raises(ConfigError, match=rf"{bits} bits.*pip install 'corarec\[quantize\]'"):
        load_backbone(config)


@pytest.mark.skipif(torch.cuda.is_available(), reason="the compiler of a GPU comes with torch")
def test_compiling_without_a_compiler_leaves_the_blocks_plain(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    plain = load_backbone(BackboneConfig(model=str(tiny_folder))).model
    model = load_backbone(BackboneConfig(model=str(tiny_folder), compile=True)).model
    ids = torch.arange(8)[None]
    assert torch.equal(model(ids).logits, plain(ids).logits)


def test_options_that_exclude_each_other() -> None:
    with pytest.raises(ValidationError, match="exclude each other"):
        BackboneConfig(load_in_4bit=True, load_in_8bit=True)
    with pytest.raises(ValidationError, match="random_weights cannot be quantised"):
        BackboneConfig(random_weights=True, load_in_8bit=True)


def test_a_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"There is no folder .* a name on the"):
        load_backbone(BackboneConfig(model=str(tmp_path / "nowhere")))


def test_weights_that_are_missing_or_cut_off(tiny_folder: Path) -> None:
    weights = tiny_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ArtifactError, match=r"The model of .* cannot be loaded"):
        load_backbone(BackboneConfig(model=str(tiny_folder)))
    weights.unlink()
    with pytest.raises(ArtifactError, match="has no weights"):
        load_backbone(BackboneConfig(model=str(tiny_folder)))


def test_weights_of_another_shape(tiny_folder: Path) -> None:
    config = tiny_folder / "config.json"
    values = json.loads(config.read_text())
    config.write_text(json.dumps(values | {"hidden_size": 32, "head_dim": 8}))
    with pytest.raises(ArtifactError, match="cannot be loaded"):
        load_backbone(BackboneConfig(model=str(tiny_folder)))


def test_chat_without_a_template(tiny_folder: Path) -> None:
    with pytest.raises(ConfigError, match="has no chat template"):
        load_backbone(BackboneConfig(model=str(tiny_folder), prompt_style="chat"))


def test_added_tokens_without_an_embedding_are_words_like_others(
    tiny_folder: Path, tiny_tokenizer: PreTrainedTokenizerFast
) -> None:
    text = 'A film called "<late>" </s>'
    before = tiny_tokenizer(text)["input_ids"]
    later = PreTrainedTokenizerFast.from_pretrained(tiny_folder)
    later.add_tokens(["<late>"], special_tokens=True)
    later.save_pretrained(tiny_folder)
    backbone = load_backbone(BackboneConfig(model=str(tiny_folder)))
    assert max(later(text)["input_ids"]) == backbone.model.config.vocab_size
    assert backbone.tokenizer(text)["input_ids"] == before  # the end token is one still
    assert backbone.tokenizer.decode(before) == tiny_tokenizer.decode(before)
    backbone.tokenizer.add_tokens(["<mark>"], special_tokens=True)
    assert len(backbone.tokenizer("<mark>", add_special_tokens=False)["input_ids"]) == 1


def test_other_answers(tiny_folder: Path) -> None:
    backbone = load_backbone(BackboneConfig(model=str(tiny_folder), answers=("1", "0")))
    assert backbone.answers.texts == ("1", "0")


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_a_frozen_model_has_no_dropout_even_while_training(
    kind: str, tiny_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    vocabulary = len(tiny_tokenizer)
    if kind == "gpt2":
        model = GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, n_embd=16, n_layer=1, n_head=2))
    else:
        config = LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=16,
            intermediate_size=24,
            num_hidden_layers=1,
            num_attention_heads=2,
            attention_dropout=0.5,
        )
        model = LlamaForCausalLM(config)
    model.save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    loaded = load_backbone(BackboneConfig(model=str(tmp_path))).model
    ids = torch.arange(8)[None]
    evaluated = loaded(ids).logits
    loaded.train()
    assert torch.equal(loaded(ids).logits, evaluated)
