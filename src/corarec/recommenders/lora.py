"""LoRA on the language model, by PEFT: what TALLRec is, and what others stand on."""

from typing import Annotated, Any

from peft import LoraConfig, get_peft_model
from pydantic import Field, NonNegativeInt

from corarec.adapter.architectures import is_linear
from corarec.adapter.targets import block_number
from corarec.errors import ConfigError
from corarec.recommenders.llm import PromptSystem
from corarec.types import Config


class LoraKeys(Config):
    """A LoRA on the language model (that of CoLLM's port of TALLRec)."""

    rank: Annotated[int, Field(gt=0)] = 8
    """Rank of the LoRA."""
    alpha: Annotated[int, Field(gt=0)] = 16
    """The LoRA is scaled by `alpha / rank`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """On the input of the LoRA, in training."""
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    """Names of the adapted layers in the language model (PEFT's `target_modules`)."""
    layers_to_transform: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] | None = None
    """Numbers of the blocks to adapt, from 0; None adapts all of them."""


class LoraSystem(LoraKeys, PromptSystem):
    """The config of a system whose language model carries a LoRA (CoLLM's port of TALLRec)."""


def with_lora(model: Any, config: LoraKeys) -> Any:
    """Return the model with a LoRA around it, its own weights frozen.

    Raises
    ------
    ConfigError
        The model has no layers of the names in `targets`.
    """
    blocks = config.layers_to_transform
    _check_there(model, config)
    lora = LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.targets),
        layers_to_transform=None if blocks is None else list(blocks),
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, lora)
    except ValueError as error:
        raise ConfigError(
            f"The LoRA cannot be put on this model: {error} Set `targets` to names of its linear "
            f"layers: {', '.join(_layer_names(model))}."
        ) from error


def _check_there(model: Any, config: LoraKeys) -> None:
    """See that every name and every block is there: PEFT is content with one of each."""
    names = [name for name, _ in model.named_modules()]
    for target in config.targets:
        if not any(f".{name}".endswith(f".{target}") for name in names):
            raise ConfigError(
                f"`targets` names {target!r}, and {type(model).__name__} has no layer of that name "
                f"for a LoRA. Its linear layers: {', '.join(_layer_names(model)) or 'none'}."
            )
    there = sorted({number for name in names if (number := block_number(name)) is not None})
    for block in config.layers_to_transform or ():
        if block not in there:
            raise ConfigError(
                f"`layers_to_transform` names block {block}, and the blocks of "
                f"{type(model).__name__} are {', '.join(map(str, there)) or 'not numbered'}."
            )


def _layer_names(model: Any) -> list[str]:
    """Return the names that linear layers bear inside the blocks of a model."""
    linear = (name for name, layer in model.named_modules() if is_linear(layer))
    inside = (name for name in linear if block_number(name) is not None)
    return list(dict.fromkeys(name.rpartition(".")[2] for name in inside))
