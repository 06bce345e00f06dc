"""CoRA: CF vectors become low-rank weights of a frozen language model (paper, equations 3 to 7)."""

from pathlib import Path
from typing import Annotated, Literal

import torch
from peft import get_peft_model
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from corarec.adapter import CoraConfig
from corarec.backbone import Backbone, BackboneConfig
from corarec.cf import CFModel
from corarec.errors import ArtifactError
from corarec.prompts import PromptConfig, PromptEncoder
from corarec.recommenders.base import Batch
from corarec.recommenders.llm import AnswerScore, PromptInputs, PromptRecommender
from corarec.recommenders.vectors import VectorInput, VectorInputConfig, shuffle_users
from corarec.types import Config, IntArray, Pairs, VectorTable

SCALES = "vector_input.safetensors"


class CoraSystem(Config):
    """CoRA as one row of the benchmark."""

    name: Literal["cora"] = "cora"
    backbone: BackboneConfig = BackboneConfig()
    prompt: PromptConfig = PromptConfig()
    answer: AnswerScore = "yes"
    """`yes`: the logit of Yes (the authors' code); `yes-minus-no`: its distance to that of No."""
    rank: Annotated[int, Field(gt=0)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32
    targets: tuple[str, ...] = ("q", "k", "v", "o")
    """Which weights of every block get an increment; these four are the best of the paper's
    Table 4."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """On the input of the increment, in training (the authors' code)."""
    generator: Literal["paper", "fit"] = "fit"
    """`paper`: the authors' sizes. `fit`: a few per cent of a small model's cost."""
    vectors: VectorInputConfig = VectorInputConfig()
    activation: Literal["prompt", "title"] = "prompt"
    """`title` is late activation, a variant of ours: the increment acts only from the first token
    of the target title on, so that all candidates of a user share the frozen history."""


class CoraInputs(PromptInputs):
    """Prompts beside the CF vectors of their pairs."""

    def __init__(self, pairs: Pairs, encoder: PromptEncoder, table: VectorTable) -> None:
        super().__init__(pairs, encoder)
        self.table = table

    def batch(self, rows: IntArray) -> Batch:
        """Add `user_vectors` and `item_vectors`, both [B, d], to the prompts."""
        users, items = self.table.lookup(rows)
        return {**super().batch(rows), "user_vectors": users, "item_vectors": items}


class CoraRecommender(PromptRecommender):
    """CoRA around a frozen language model and a frozen CF model.

    Parameters
    ----------
    cf_model
        A fitted CF model.
    train_pairs
        The training pairs, whose vectors set the scale of the input.
    """

    def __init__(
        self,
        backbone: Backbone,
        encoder: PromptEncoder,
        config: CoraSystem,
        cf_model: CFModel,
        train_pairs: Pairs,
    ) -> None:
        adapter = CoraConfig(
            r=config.rank,
            alpha=config.alpha,
            dropout=config.dropout,
            targets=list(config.targets),
            vector_size=cf_model.vector_size,
            generator=config.generator,
        )
        super().__init__(get_peft_model(backbone.model, adapter), backbone, encoder, config.answer)
        self.cf_model = cf_model
        self.late = config.activation == "title"
        self.shuffle_seed = config.vectors.shuffle_users
        self.vector_input = VectorInput(cf_model.vector_size, config.vectors.drop_half)
        if config.vectors.normalise == "rms":
            self.vector_input.fit_scale(cf_model.vector_table(train_pairs))

    def inputs(self, pairs: Pairs) -> CoraInputs:
        """Gather the prompts and the CF vectors of `pairs`."""
        table = self.cf_model.vector_table(pairs)
        if self.shuffle_seed is not None:
            table = shuffle_users(table, self.shuffle_seed)
        return CoraInputs(pairs, self.encoder, table)

    def forward(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logit of the answer under the pairs' own weights: [B]."""
        vectors = self.vector_input(batch["user_vectors"], batch["item_vectors"])
        extra = {"cf_vectors": vectors}
        if self.late:
            positions = torch.arange(batch["input_ids"].shape[1], device=vectors.device)
            extra["active"] = positions >= batch["title_start"][:, None]
        return self.answer_logits(batch["input_ids"], batch["attention_mask"], **extra)

    def save(self, folder: Path) -> None:
        """Write the adapter and the scale of its input."""
        super().save(folder)
        save_file(dict(self.vector_input.named_buffers()), folder / SCALES)

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        super().load(folder)
        try:
            self.vector_input.load_state_dict(load_file(folder / SCALES))
        except (SafetensorError, OSError, RuntimeError) as error:
            raise ArtifactError(
                f"{folder / SCALES} cannot be read or belongs to other CF vectors ({error}). "
                "Resume the run or train it again."
            ) from error
