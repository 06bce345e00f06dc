"""LoRA on the language model, by PEFT: what TALLRec is, and what others stand on."""

from typing import Annotated, Any

from peft import LoraConfig, get_peft_model
from pydantic import Field, NonNegativeInt

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
            f"The LoRA cannot be put on this model: {error} Set system.targets to names of its "
            "linear layers."
        ) from error
