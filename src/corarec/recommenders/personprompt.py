"""PersonPrompt (PEPLER, Li et al. 2022): a trainable token embedding for every user and item."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from peft import PeftModel
from torch import nn

from corarec.backbone import Backbone
from corarec.prompts import PromptEncoder, SoftSlot
from corarec.recommenders.features import FEATURES, ITEM, USER, FeaturePrompt
from corarec.recommenders.ids import IdInputs
from corarec.recommenders.ingredients import Ingredients
from corarec.recommenders.llm import AnswerScore, PromptSystem
from corarec.recommenders.lora import LoraKeys, with_lora
from corarec.recommenders.soft import SoftPromptRecommender
from corarec.types import Pairs

ORIGINAL_RANGE = 0.1
"""Start values of PEPLER itself lie within this."""


class PersonPromptSystem(PromptSystem):
    """PersonPrompt as one row of the benchmark: the language model is frozen (CoLLM's port).

    Recommended learning rates of the port: 1e-2 (ML-1M), 1e-4 (Amazon-Book); of PEPLER: 1e-3.
    """

    added_slots: ClassVar[frozenset[str]] = FEATURES
    needed_slots: ClassVar[frozenset[str]] = FEATURES

    parameter_groups: ClassVar[tuple[str, ...] | None] = ("people", "lora")

    name: Literal["personprompt"] = "personprompt"
    prompt: FeaturePrompt = FeaturePrompt()
    """How a pair becomes text."""
    start: Literal["port", "original"] = "port"
    """Range of the embeddings' start values: `port` is +-1 / root of the number of users and items
    (a linear layer on one-hots), `original` is PEPLER's +-0.1."""
    lora: LoraKeys | None = None
    """A LoRA on the language model (`rank` and so on, as of `tallrec`), trained in its own group:
    stands for PEPLER's second step, which trains the whole model beside the embeddings."""


class PersonPromptRecommender(SoftPromptRecommender):
    """A language model, as a rule frozen, that reads a learned token for user and item each.

    Users and items of the dataset that never occur in training keep their start values, as in the
    port; whoever is not in the dataset has zeros.
    """

    config_class: ClassVar[type[PromptSystem]] = PersonPromptSystem

    def __init__(
        self,
        model: Any,
        backbone: Backbone,
        encoder: PromptEncoder,
        answer: AnswerScore,
        users: nn.Embedding,
        items: nn.Embedding,
    ) -> None:
        super().__init__(model, backbone, encoder, answer)
        if not isinstance(model, PeftModel):
            self.model.requires_grad_(False)
        self.people = nn.ModuleDict({USER: users, ITEM: items})

    @classmethod
    def build(cls, config: PersonPromptSystem, ingredients: Ingredients) -> Self:
        """Make an embedding for every user and item of the dataset."""
        backbone = ingredients.backbone
        num_users, num_items = ingredients.num_users, ingredients.num_items
        bound = ORIGINAL_RANGE if config.start == "original" else (num_users + num_items) ** -0.5
        users, items = (
            _embedding(count, backbone.hidden_size, bound) for count in (num_users, num_items)
        )
        return cls(
            backbone.model if config.lora is None else with_lora(backbone.model, config.lora),
            backbone,
            ingredients.encoder(config.prompt, dict.fromkeys(FEATURES, SoftSlot())),
            config.answer,
            users,
            items,
        )

    def own_modules(self) -> dict[str, nn.Module]:
        """Return the embeddings."""
        return {"people": self.people}

    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> IdInputs:
        """Gather the prompts of `pairs` and their ids."""
        users, items = self.people[USER], self.people[ITEM]
        assert isinstance(users, nn.Embedding)
        assert isinstance(items, nn.Embedding)
        sizes = users.num_embeddings - 1, items.num_embeddings - 1
        return IdInputs(pairs, self.encoder, new_titles, *sizes)

    def soft_vectors(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the tokens of users and items: [B, 1, H] each."""
        return {name: self.people[name](batch[f"{name}_ids"])[:, None] for name in (USER, ITEM)}


def _embedding(count: int, size: int, bound: float) -> nn.Embedding:
    """Return start values within `bound`; row 0 is zero and stays so."""
    embedding = nn.Embedding(count + 1, size, padding_idx=0)
    with torch.no_grad():
        embedding.weight.uniform_(-bound, bound)
        embedding.weight[0] = 0
    return embedding
