"""What a language model must be, and the machine must have, for a recipe."""

from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

from corarec.backbone.answers import Answers
from corarec.errors import ArtifactError, ConfigError

SPREADING = ("auto", "balanced", "balanced_low_0", "sequential")
"""Values of `device_map` that are no device."""


def check_device(device_map: str | None, random_weights: bool) -> None:
    """See that the machine has the device that was asked for.

    Raises
    ------
    ConfigError
        It has not, or there is no such device at all.
    """
    if device_map is None:
        return
    if device_map in SPREADING:
        if random_weights:
            raise ConfigError(
                f"`device_map: {device_map}` spreads weights from files, and `random_weights` has "
                "none. Name one device, such as cuda, or leave device_map out."
            )
        return
    try:
        device = torch.device(device_map)
    except RuntimeError:
        raise ConfigError(
            f"`device_map: {device_map}` is no device. Write cpu, cuda, cuda:1, "
            f"{', '.join(SPREADING)}, or leave it out."
        ) from None
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise ConfigError(
                f"`device_map: {device_map}` asks for a GPU, but torch {torch.__version__} sees "
                f"{count or 'none'} here. Leave device_map out, or install a driver and a torch "
                "that go together."
            )


def known_types() -> frozenset[str]:
    """Return the `model_type` of every causal language model that transformers knows."""
    return frozenset(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def check_architecture(model: str, config: Any) -> None:
    """See that a config is that of a causal language model.

    Raises
    ------
    ConfigError
        It is an encoder, an encoder with a decoder, or something else.
    """
    kind = config.model_type
    if config.is_encoder_decoder:
        what = f"an encoder with a decoder ({kind})"
    elif kind not in known_types():
        what = f"a {kind}, which transformers has no causal language model for"
    elif kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and getattr(config, "is_decoder", None) is False:
        what = f"an encoder ({kind}), which reads a text in both directions"
    else:
        return
    raise ConfigError(
        f"{model} is {what}. CoRA needs a causal language model, one that continues a text: Llama, "
        "Qwen, Gemma, Mistral, GPT-2, ... or `bundled`."
    )


def check_complete(model: str, loading: dict[str, Any]) -> None:
    """See that every weight came from the files; transformers draws those that did not.

    Raises
    ------
    ArtifactError
        A weight is missing.
    """
    missing = sorted(loading.get("missing_keys") or ())
    if missing:
        raise ArtifactError(
            f"The files of {model} lack {len(missing)} of its weights, such as {missing[0]}, which "
            "would be random. Download or save the whole model again, as a causal language model."
        )


def check_vocabulary(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, answers: Answers
) -> None:
    """See that the model has an embedding for every token.

    Tokens that were added later may lie beyond it (some published ones do); the answers, and what
    stands before every text, may not.

    Raises
    ------
    ArtifactError
        It has not: the tokenizer is another model's.
    """
    embeddings = model.get_input_embeddings().weight.shape[0]
    around = [tokenizer.pad_token_id or 0, *tokenizer("")["input_ids"]]
    largest = max(tokenizer.vocab_size - 1, answers.yes, answers.no, *around)
    if largest >= embeddings:
        raise ArtifactError(
            f"The tokenizer has tokens up to number {largest:,}, but {model.name_or_path} has "
            f"embeddings for {embeddings:,} only. The tokenizer belongs to another model: put the "
            "right one into the folder."
        )
