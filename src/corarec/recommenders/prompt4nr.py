"""Prompt4NR (Zhang & Wang 2023): learned vectors in the slots of a separated template."""

from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import AfterValidator, Field
from torch import nn

from corarec.backbone import Backbone
from corarec.prompts import PromptConfig, PromptEncoder, SoftSlot
from corarec.prompts.templates import title_once
from corarec.recommenders.ingredients import Ingredients
from corarec.recommenders.llm import AnswerScore, PromptSystem
from corarec.recommenders.lora import LoraSystem, with_lora
from corarec.recommenders.soft import SoftPromptRecommender

TEMPLATE = (
    "#Question: {user} {history} [SEP] {item} {title} [SEP] Using all available information, make "
    'a prediction about whether the user would enjoy the {noun}? Answer with "Yes" or "No". '
    "\n#Answer:"
)
SLOTS = ("user", "item")
ORIGINAL_DEVIATION = 0.02
"""Of the start values of words that are added to the model."""


class Prompt4NRPrompt(PromptConfig):
    """The separated template of CoLLM's port."""

    template: Annotated[str, AfterValidator(title_once)] = TEMPLATE
    """As elsewhere, with the slots {user} and {item} for the virtual tokens."""


class Prompt4NRSystem(LoraSystem):
    """Prompt4NR as one row of the benchmark: soft prompt and LoRA trained jointly (CoLLM's port).

    Recommended learning rates of the port: 1e-4 (ML-1M), 1e-2 (Amazon-Book, from TALLRec's LoRA).
    """

    added_slots: ClassVar[frozenset[str]] = frozenset(SLOTS)
    needed_slots: ClassVar[frozenset[str]] = frozenset(SLOTS)

    parameter_groups: ClassVar[tuple[str, ...] | None] = ("lora", "soft")

    name: Literal["prompt4nr"] = "prompt4nr"
    prompt: Prompt4NRPrompt = Prompt4NRPrompt()
    """How a pair becomes text."""
    virtual_tokens: Annotated[int, Field(gt=0)] = 3
    """Learned vectors per slot."""
    start: Literal["port", "original"] = "port"
    """Of the virtual tokens: `port` joins them by a literal "." in the text and starts them as a
    linear layer does, far above embeddings; `original` sets them side by side and starts them as
    new words of the model, normal with a deviation of 0.02."""


class Prompt4NRRecommender(SoftPromptRecommender):
    """LoRA on a language model that reads virtual tokens, the same for every pair."""

    config_class: ClassVar[type[PromptSystem]] = Prompt4NRSystem

    def __init__(
        self,
        model: Any,
        backbone: Backbone,
        encoder: PromptEncoder,
        answer: AnswerScore,
        virtual_tokens: int,
        hidden_size: int,
        deviation: float | None = None,
    ) -> None:
        super().__init__(model, backbone, encoder, answer)
        # A linear layer on the one-hot of the slot, with its default start values: about +-0.71,
        # far above the scale of embeddings. So in the port.
        self.soft = nn.Linear(len(SLOTS), virtual_tokens * hidden_size, bias=False)
        if deviation is not None:
            nn.init.normal_(self.soft.weight, std=deviation)
        self.hidden_size = hidden_size

    @classmethod
    def build(cls, config: Prompt4NRSystem, ingredients: Ingredients) -> Self:
        """Put a LoRA on the model and virtual tokens into its prompt."""
        backbone = ingredients.backbone
        original = config.start == "original"
        slot = SoftSlot(config.virtual_tokens, joiner="" if original else ".")
        return cls(
            with_lora(backbone.model, config),
            backbone,
            ingredients.encoder(config.prompt, dict.fromkeys(SLOTS, slot)),
            config.answer,
            config.virtual_tokens,
            backbone.hidden_size,
            ORIGINAL_DEVIATION if original else None,
        )

    def own_modules(self) -> dict[str, nn.Module]:
        """Return the virtual tokens."""
        return {"soft": self.soft}

    def soft_vectors(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the virtual tokens of both slots: [B, n, H] each."""
        vectors = self.soft.weight.T.unflatten(1, (-1, self.hidden_size))
        count = len(batch["input_ids"])
        return {name: vectors[n].expand(count, -1, -1) for n, name in enumerate(SLOTS)}
