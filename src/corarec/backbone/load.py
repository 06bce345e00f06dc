"""Load any Hugging Face causal language model, frozen, with its tokenizer and answer tokens."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import model_validator
from tokenizers import Tokenizer
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.utils import logging

from corarec.backbone.answers import Answers, find_answers
from corarec.backbone.chat import PromptFrame, PromptStyle, prompt_frame
from corarec.backbone.checks import (
    check_architecture,
    check_complete,
    check_device,
    check_vocabulary,
)
from corarec.backbone.compiling import compiler_at_hand
from corarec.backbone.fingerprint import fingerprint
from corarec.backbone.place import ModelPlace
from corarec.errors import ConfigError
from corarec.types import Config

BUNDLED = Path(__file__).parent / "bundled"
"""Folder of the small language model that ships with the package."""


class BackboneConfig(Config):
    """Which language model, and how to load it."""

    model: str = "bundled"
    """A name on the Hugging Face hub, a folder, or `bundled` for the small model that ships."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    """Precision of the weights; `auto` takes that of the files."""
    attention: str | None = None
    """Attention implementation (`sdpa`, `eager`, `flash_attention_2`, ...); None leaves the choice
    to transformers."""
    device_map: str | None = None
    """Where the weights go (`cuda`, `auto`, ...); None is the CPU, from where a trainer moves
    them."""
    load_in_4bit: bool = False
    """Quantise to 4 bits (NF4) with bitsandbytes."""
    load_in_8bit: bool = False
    """Quantise to 8 bits with bitsandbytes."""
    prompt_style: PromptStyle = "plain"
    """`plain` text, or one turn of the model's own `chat` template."""
    answers: tuple[str, str] | None = None
    """How to spell the positive and the negative answer, with a leading space where one belongs;
    None for Yes and No."""
    random_weights: bool = False
    """The same architecture with fresh weights: the control that tells what pretraining is
    worth."""
    seed: int = 0
    """Of the fresh weights."""
    compile: bool = False
    """Fuse the small operations of every block with torch.compile. On a CPU it needs a C++ compiler
    (without one the blocks stay plain) and tens of seconds for the first step;
    `benchmarks/step_speed.py` measures the others."""

    @model_validator(mode="after")
    def _one_way(self) -> "BackboneConfig":
        if self.load_in_4bit and self.load_in_8bit:
            raise ValueError("load_in_4bit and load_in_8bit exclude each other: set one of them")
        if self.random_weights and (self.load_in_4bit or self.load_in_8bit):
            raise ValueError("random_weights cannot be quantised: set one or the other")
        return self


@dataclass(frozen=True)
class Backbone:
    """A frozen language model with all that a prompt needs."""

    model: PreTrainedModel
    """In evaluation mode, as a rule without dropout in any; no weight asks for a gradient."""
    tokenizer: PreTrainedTokenizerBase
    """Pads on the left."""
    answers: Answers
    """The answer tokens."""
    fingerprint: str
    """Names the weights, see `fingerprint`."""
    frame: PromptFrame
    """What stands around a prompt."""

    @property
    def hidden_size(self) -> int:
        """`H`, the width of a token's embedding."""
        return int(self.model.get_input_embeddings().weight.shape[1])

    def __repr__(self) -> str:
        return f"Backbone({self.fingerprint!r}, answers {self.answers})"


def load_backbone(config: BackboneConfig, *, dropout: bool = False) -> Backbone:
    """Load a model and its tokenizer.

    A name that is no folder is one on the hub; where the hub cannot be reached, earlier downloads
    are used. Code that comes with a model is never run, and pickled weights are never read.

    Parameters
    ----------
    dropout
        Leave the model's own dropout in, which then acts in training.

    Raises
    ------
    ArtifactError
        The model cannot be found or read, or a part of it is missing.
    ConfigError
        An optional package or a device is missing, it is no causal language model, an answer is not
        one token, or there is no chat template.
    """
    check_device(config.device_map, config.random_weights)
    name = str(BUNDLED) if config.model == "bundled" else config.model
    place = ModelPlace.find(name, config.revision, weights=not config.random_weights)
    architecture = place.read(AutoConfig, "config")
    check_architecture(config.model, architecture)
    tokenizer = _load_tokenizer(place)
    frame = prompt_frame(tokenizer, config.prompt_style)
    # Before the weights, which take much longer.
    answers = find_answers(tokenizer, frame, config.answers)
    if config.model == "bundled":
        logging.disable_progress_bar()  # it loads in a blink
    model = _load_model(config, place, architecture)
    check_vocabulary(model, tokenizer, answers)
    _forget_tokens(tokenizer, model.get_input_embeddings().weight.shape[0])
    model.requires_grad_(False)
    model.eval()
    if not dropout:
        _still(model)
    if config.compile and compiler_at_hand():
        _compile_blocks(model)
    return Backbone(model, tokenizer, answers, fingerprint(model), frame)


def _load_tokenizer(place: ModelPlace) -> PreTrainedTokenizerBase:
    tokenizer: PreTrainedTokenizerBase = place.read(AutoTokenizer, "tokenizer")
    if not tokenizer.is_fast:
        raise ConfigError(
            f"The tokenizer of {place.name} has no fast form (tokenizer.json), which alone knows "
            "where in the text a token stands. Take a model with one, or convert it."
        )
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _forget_tokens(tokenizer: Any, count: int) -> None:
    """Take added tokens out of a tokenizer from number `count` on: the model has no such embedding.

    Their names in a title or a review are then words like all others.
    """
    if all(number < count for number in tokenizer.added_tokens_decoder):
        return
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state["added_tokens"] = [token for token in state["added_tokens"] if token["id"] < count]
    # The library lets tokens be added and has no way to remove them.
    tokenizer._tokenizer = Tokenizer.from_str(json.dumps(state))


def _load_model(config: BackboneConfig, place: ModelPlace, architecture: Any) -> PreTrainedModel:
    options: dict[str, Any] = {"dtype": _dtype(config)}
    if config.attention:
        options["attn_implementation"] = config.attention
    if config.random_weights:
        with place.reading("model"):
            return _fresh(config, architecture, options)
    if config.device_map:
        options["device_map"] = config.device_map
    if config.load_in_4bit or config.load_in_8bit:
        options["quantization_config"] = _quantization(config)
    model, loading = place.read(
        AutoModelForCausalLM, "model", use_safetensors=True, output_loading_info=True, **options
    )
    check_complete(config.model, loading)
    return model


def _fresh(config: BackboneConfig, architecture: Any, options: dict[str, Any]) -> PreTrainedModel:
    if options["dtype"] == "auto":
        options["dtype"] = architecture.dtype
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(architecture, **options)
    return model.to(config.device_map) if config.device_map else model


def _still(model: PreTrainedModel) -> None:
    """Take the model's own dropout out, or a trainer would put it on with the adapter's."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0


def _compile_blocks(model: PreTrainedModel) -> None:
    for module in model.modules():
        if isinstance(module, GradientCheckpointingLayer):  # a block, in every architecture
            module.compile(dynamic=True)


def _dtype(config: BackboneConfig) -> torch.dtype | str:
    return "auto" if config.dtype == "auto" else getattr(torch, config.dtype)


def _quantization(config: BackboneConfig) -> BitsAndBytesConfig:
    if importlib.util.find_spec("bitsandbytes") is None:
        bits = 4 if config.load_in_4bit else 8
        raise ConfigError(
            f"Loading in {bits} bits needs the package bitsandbytes, which is not installed. "
            "Type: pip install 'corarec[quantize]'"
        )
    return BitsAndBytesConfig(
        load_in_4bit=config.load_in_4bit,
        load_in_8bit=config.load_in_8bit,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=None if config.dtype == "auto" else getattr(torch, config.dtype),
    )
