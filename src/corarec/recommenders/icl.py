"""ICL (Dai et al. 2023): the frozen language model answers the plain prompt, nothing is trained."""

from pathlib import Path
from typing import ClassVar, Literal, Self

from corarec.recommenders.llm import AnswerScore, Ingredients, PromptRecommender, PromptSystem


class ICLSystem(PromptSystem):
    """In-context learning, zero-shot, as one row of the benchmark."""

    parameter_groups: ClassVar[tuple[str, ...] | None] = ()

    name: Literal["icl"] = "icl"
    answer: AnswerScore = "yes-minus-no"
    """Untrained, the logit of Yes alone says more about the prompt than about the answer."""


class ICLRecommender(PromptRecommender):
    """The frozen model's own opinion."""

    config_class: ClassVar[type[PromptSystem]] = ICLSystem

    @classmethod
    def build(cls, config: ICLSystem, ingredients: Ingredients) -> Self:
        """Take the model as it is."""
        backbone = ingredients.backbone
        return cls(backbone.model, backbone, ingredients.encoder(config.prompt), config.answer)

    def save(self, folder: Path) -> None:
        """Write nothing: nothing was trained."""

    def load(self, folder: Path) -> None:
        """Read nothing: nothing was trained."""
