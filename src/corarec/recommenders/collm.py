"""CoLLM (arXiv 2310.19488): CF vectors mapped into the language model's token space."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import Field
from torch import nn

from corarec.backbone import Backbone
from corarec.cf import VectorSource
from corarec.cf.tables import TableModel
from corarec.errors import ConfigError
from corarec.prompts import PromptEncoder, SoftSlot
from corarec.recommenders.features import FEATURES, ITEM, USER, FeaturePrompt
from corarec.recommenders.ids import IdInputs
from corarec.recommenders.ingredients import Ingredients
from corarec.recommenders.llm import AnswerScore, PromptInputs, PromptSystem
from corarec.recommenders.lora import LoraSystem, with_lora
from corarec.recommenders.soft import SoftPromptRecommender
from corarec.recommenders.vectors import VectorPromptInputs
from corarec.types import Pairs


class CoLLMSystem(LoraSystem):
    """CoLLM as one row of the benchmark.

    The paper trains in two steps: the LoRA (`lora`) on the plain text prompt, then, with the LoRA
    frozen, the mapping (`mapping`) on the prompt with features; write them as `train.phases`.
    Without phases both are trained at once.
    """

    added_slots: ClassVar[frozenset[str]] = FEATURES

    parameter_groups: ClassVar[tuple[str, ...] | None] = ("lora", "mapping", "cf")

    name: Literal["collm"] = "collm"
    prompt: FeaturePrompt = FeaturePrompt()
    """How a pair becomes text."""
    hidden_factor: Annotated[int, Field(gt=0)] = 10
    """The hidden layer of the mapping is so many times as wide as a CF vector."""
    train_cf: bool = False
    """Train the CF vectors, too (parameter group `cf`); for CF models with one vector per user and
    item."""


class CoLLMRecommender(SoftPromptRecommender):
    """LoRA on a language model that reads the CF vectors of user and item as one token each.

    Users and items that the CF model does not know have the zero vector, which the mapping turns
    into one token for all of them.
    """

    config_class: ClassVar[type[PromptSystem]] = CoLLMSystem
    needs_cf: ClassVar[bool] = True

    def __init__(
        self,
        model: Any,
        backbone: Backbone,
        encoder: PromptEncoder,
        answer: AnswerScore,
        cf: VectorSource,
        mapping: nn.Module,
        tables: nn.ModuleDict | None = None,
    ) -> None:
        super().__init__(model, backbone, encoder, answer)
        self.cf = cf
        self.mapping = mapping
        self.tables = tables

    @classmethod
    def build(cls, config: CoLLMSystem, ingredients: Ingredients) -> Self:
        """Put a LoRA on the model and a mapping before it."""
        backbone, cf = ingredients.backbone, ingredients.cf
        if cf is None:
            raise ConfigError("CoLLM reads CF vectors, but no CF model came. Name one under `cf`.")
        size = cf.vector_size
        mapping = nn.Sequential(
            nn.Linear(size, config.hidden_factor * size),
            nn.ReLU(),
            nn.Linear(config.hidden_factor * size, backbone.hidden_size),
        )
        return cls(
            with_lora(backbone.model, config),
            backbone,
            ingredients.encoder(config.prompt, dict.fromkeys(FEATURES, SoftSlot())),
            config.answer,
            cf,
            mapping,
            _trainable_tables(cf) if config.train_cf else None,
        )

    def own_modules(self) -> dict[str, nn.Module]:
        """Return the mapping and, where they are trained, the CF vectors."""
        tables = {} if self.tables is None else {"cf": self.tables}
        return {"mapping": self.mapping, **tables}

    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> PromptInputs:
        """Gather the prompts of `pairs` and their CF vectors, or the numbers of trained ones."""
        if self.tables is not None:
            sizes = (len(table) - 1 for table in self.tables.parameters())
            return IdInputs(pairs, self.encoder, new_titles, *sizes)
        return VectorPromptInputs(pairs, self.encoder, new_titles, self.cf.vector_table(pairs))

    def soft_vectors(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Return the mapped vectors: [B, 1, H] each."""
        return {name: self.mapping(self._vectors(name, batch))[:, None] for name in (USER, ITEM)}

    def _vectors(self, name: str, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        if self.tables is None:
            return batch[f"{name}_vectors"]
        vectors: torch.Tensor = self.tables[name](batch[f"{name}_ids"])
        return vectors


def _trainable_tables(cf: VectorSource) -> nn.ModuleDict:
    if not isinstance(cf.model, TableModel):
        raise ConfigError(
            f"system.train_cf trains one vector per user and item, but the vectors of '{cf.name}' "
            "belong to rows. Take mf, mf-b or lightgcn, or leave train_cf out."
        )
    tables = {USER: cf.model.user_table, ITEM: cf.model.item_table}
    return nn.ModuleDict(
        {
            name: nn.Embedding.from_pretrained(table.clone(), freeze=False, padding_idx=0)
            for name, table in tables.items()
        }
    )
