"""TALLRec (Bao et al. 2023): LoRA tuned on the plain prompt. Text and nothing but text."""

from typing import Annotated, Literal, Self

import torch
from peft import LoraConfig, get_peft_model
from pydantic import Field

from corarec.errors import ConfigError
from corarec.recommenders.llm import Ingredients, PromptRecommender, PromptSystem


class TALLRecSystem(PromptSystem):
    """TALLRec as one row of the benchmark, and the text-only control of every CoRA claim."""

    name: Literal["tallrec"] = "tallrec"
    rank: Annotated[int, Field(gt=0)] = 8
    """Rank of the LoRA."""
    alpha: Annotated[int, Field(gt=0)] = 16
    """The LoRA is scaled by `alpha / rank`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """On the input of the LoRA, in training."""
    targets: tuple[str, ...] = ("q_proj", "v_proj")
    """Names of the adapted layers in the language model."""


class TALLRecRecommender(PromptRecommender):
    """LoRA on a language model that reads the plain prompt."""

    @classmethod
    def build(cls, config: TALLRecSystem, ingredients: Ingredients) -> Self:
        """Put a LoRA on the model."""
        backbone = ingredients.backbone
        lora = LoraConfig(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            target_modules=list(config.targets),
            task_type="CAUSAL_LM",
        )
        try:
            model = get_peft_model(backbone.model, lora)
        except ValueError as error:
            raise ConfigError(
                f"The LoRA cannot be put on this model: {error} Set system.targets to names of its "
                "linear layers."
            ) from error
        return cls(model, backbone, ingredients.encoder(config.prompt), config.answer)

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logit of the answer: [B]."""
        return self.answer_logits(batch["input_ids"], batch["attention_mask"])
