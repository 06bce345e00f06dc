"""TALLRec (Bao et al. 2023): LoRA tuned on the plain prompt. Text and nothing but text."""

from typing import ClassVar, Literal, Self

from corarec.recommenders.llm import Ingredients, PromptRecommender, PromptSystem
from corarec.recommenders.lora import LoraSystem, with_lora


class TALLRecSystem(LoraSystem):
    """TALLRec as one row of the benchmark, and the text-only control of every CoRA claim.

    It is the port that made CoRA's table: stage 1 of CoLLM, binary cross-entropy on the logit of
    Yes.
    """

    parameter_groups: ClassVar[tuple[str, ...] | None] = ("lora",)

    name: Literal["tallrec"] = "tallrec"


class TALLRecRecommender(PromptRecommender):
    """LoRA on a language model that reads the plain prompt."""

    config_class: ClassVar[type[PromptSystem]] = TALLRecSystem

    @classmethod
    def build(cls, config: TALLRecSystem, ingredients: Ingredients) -> Self:
        """Put a LoRA on the model."""
        backbone = ingredients.backbone
        model = with_lora(backbone.model, config)
        return cls(model, backbone, ingredients.encoder(config.prompt), config.answer)
