"""CoRA: CF vectors become low-rank weights of a frozen language model (paper, equations 3 to 7)."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from peft import get_peft_model
from pydantic import Field, NonNegativeInt, model_validator
from torch import nn

from corarec.adapter import (
    CoraConfig,
    GeneratorConfig,
    IncrementNorm,
    LayerPattern,
    export_lora,
    held_pair,
    increment_norms,
)
from corarec.adapter.config import DEFAULT_ROLES, RoleName
from corarec.backbone import Backbone
from corarec.backbone.sharing import PrefixSharing
from corarec.backbone.splitting import split_prompts
from corarec.errors import ConfigError
from corarec.prompts import PromptEncoder
from corarec.recommenders.base import TrainingData, Weights
from corarec.recommenders.frozen import FrozenSystem
from corarec.recommenders.general_text import evaluating
from corarec.recommenders.ingredients import Ingredients
from corarec.recommenders.llm import AnswerScore, PromptRecommender, PromptSystem
from corarec.recommenders.residual import ANSWERS, Residual
from corarec.recommenders.saved import read_module
from corarec.recommenders.shared import of_suffix
from corarec.recommenders.shuffled import ShuffledUsers
from corarec.recommenders.vectors import (
    PairSource,
    VectorInput,
    VectorInputConfig,
    VectorPromptInputs,
)
from corarec.score.batches import Batch, PairSystem
from corarec.score.scorer import Scorer
from corarec.types import Config, Pairs

log = logging.getLogger(__name__)
RESIDUAL = "residual"
"""The name under which a residual is saved."""


class GeneratorChoice(Config):
    """The sizes of the generator; the name of a preset alone will do."""

    preset: Literal["paper", "fit"] = "fit"
    """`paper`: the authors' sizes. `fit`: a few per cent of a small model's cost."""
    num_queries: Annotated[int, Field(gt=0)] | None = None
    """`k`, the number of learned queries; None is the preset's."""
    num_blocks: Annotated[int, Field(gt=0)] | None = None
    """`N`, the number of transformer blocks; None is the preset's."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Inside the generator, in training; None is the preset's."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, values: Any) -> Any:
        return {"preset": values} if isinstance(values, str) else values

    def sized(self, vector_size: int) -> GeneratorConfig:
        """Return the generator's config for halves of `vector_size` numbers."""
        changes = self.model_dump(exclude={"preset"}, exclude_none=True)
        return GeneratorConfig.preset(self.preset, vector_size, **changes)


class CoraSystem(PromptSystem):
    """CoRA as one row of the benchmark."""

    parameter_groups: ClassVar[tuple[str, ...] | None] = ("cora",)

    name: Literal["cora"] = "cora"
    rank: Annotated[int, Field(gt=0)] = 16
    """`r`, the rank of the generated increments."""
    alpha: Annotated[float, Field(gt=0)] = 32
    """The increments are scaled by `alpha / rank`."""
    targets: tuple[RoleName, ...] = DEFAULT_ROLES
    """Which weights of every block get an increment (PEFT's `target_modules`; `q_proj` stands for
    `q`); these four are the best of the paper's Table 4."""
    layers_to_transform: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] | None = None
    """Numbers of the blocks to adapt, from 0; None adapts all of them."""
    layers: tuple[LayerPattern, ...] | None = None
    """Where the roles live, for a language model whose layers bear names that are not known: a list
    of `{path: model.layers.*.attn.wq, roles: [q]}`, `*` for the number of a block, and of a fused
    layer `layout: stacked` or `per_head`. None finds them."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """On the input of the increment, in training (the authors' code)."""
    generator: GeneratorChoice = GeneratorChoice()
    """What makes the increments of the vectors."""
    vectors: VectorInputConfig = VectorInputConfig()
    """What is done to the CF vectors first."""
    activation: Literal["prompt", "title"] = "prompt"
    """`title` is late activation, a variant of ours: the increment acts only from the first token
    of the target title on, so that all candidates of a user share the frozen history. Training then
    leads no gradient through the history and runs it once for all rows of a batch that have it in
    common (not with gradient checkpointing, which recomputes whole prompts)."""
    residual: Literal["none", "cf"] = "none"
    """`cf`, a variant of ours: the CF model's own score goes straight to the answer, as a logit,
    and the language model's answer is added with a weight that is trained from zero on. So the
    order of items is that of the CF model before training, and training can only add to it. For CF
    models whose scores of training rows do not know these rows' labels."""

    @property
    def needs_training_rows(self) -> bool:
        """Whether it is the control that gives users each other's vectors."""
        return self.vectors.shuffle_users is not None


class CoraRecommender(PromptRecommender):
    """CoRA around a frozen language model and a frozen CF model.

    Parameters
    ----------
    cf
        A fitted CF model; as a control one whose users are shuffled.
    vector_input
        What is done to its vectors first.
    late
        The increment acts only from the first token of the target title on.
    normalise
        Whether training sets the scale of its input.
    residual
        What adds the answers to the CF model's own scores; None: the answers are the logits.
    """

    config_class: ClassVar[type[PromptSystem]] = CoraSystem
    needs_cf: ClassVar[bool] = True
    adapter_group: ClassVar[str] = "cora"

    def __init__(
        self,
        model: Any,
        backbone: Backbone,
        encoder: PromptEncoder,
        answer: AnswerScore,
        cf: PairSource,
        vector_input: VectorInput,
        *,
        late: bool = False,
        normalise: bool = True,
        residual: Residual | None = None,
    ) -> None:
        super().__init__(model, backbone, encoder, answer)
        self.cf = cf
        self.vector_input = vector_input
        self.late = late
        self.normalise = normalise
        self.residual = residual
        self.shares_in_training = True
        """Whether late activation trains without a gradient through what comes before the title."""

    @classmethod
    def build(cls, config: CoraSystem, ingredients: Ingredients) -> Self:
        """Put a generator and its projections on the model."""
        backbone, cf = ingredients.backbone, ingredients.cf
        if cf is None:
            raise ConfigError("CoRA reads CF vectors, but no CF model came. Name one under `cf`.")
        vectors = config.vectors
        vector_input = VectorInput(
            vectors.drop_half,
            vectors.product,
            cf.match_size,
            vectors.drop_families,
            cf.families if vectors.drop_families > 0 else (),
        )
        half_size = vector_input.half_size(cf.vector_size)
        blocks = config.layers_to_transform
        adapter = CoraConfig(
            r=config.rank,
            alpha=config.alpha,
            dropout=config.dropout,
            target_modules=list(config.targets),
            layers_to_transform=None if blocks is None else list(blocks),
            layers=None if config.layers is None else list(config.layers),
            generator=config.generator.sized(half_size),
            seed=ingredients.seed,
        )
        source: PairSource = cf
        if (seed := config.vectors.shuffle_users) is not None:
            if ingredients.train_pairs is None:
                raise ConfigError(
                    "A run with shuffle_users needs the rows of its dataset, and there are none "
                    "here. Name the dataset with --data."
                )
            source = ShuffledUsers(cf, ingredients.train_pairs, seed)
        return cls(
            get_peft_model(backbone.model, adapter),
            backbone,
            ingredients.encoder(config.prompt),
            config.answer,
            source,
            vector_input,
            late=config.activation == "title",
            normalise=config.vectors.normalise == "rms",
            residual=None if config.residual == "none" else Residual(),
        )

    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> VectorPromptInputs:
        """Gather the prompts and the CF vectors of `pairs`."""
        table = self.cf.vector_table(pairs)
        scores = None if self.residual is None else self.cf.score(pairs)
        return VectorPromptInputs(pairs, self.encoder, new_titles, table, scores)

    def prepare(self, data: TrainingData) -> None:
        """Set the scale of the CF vectors by those of the whole training split.

        With a residual also what makes a logit of CF scores, by the rows to learn from.
        """
        if self.normalise:
            self.vector_input.fit_scale(self.cf.vector_table(data.dataset.pairs("train")))
        if self.residual is not None:
            rows = data.train_rows
            some = rows[:: -(-len(rows) // ANSWERS)]
            with evaluating(self):
                frozen = FrozenSystem(self, joined=False)
                answers = Scorer(frozen).score(data.dataset.pairs(some))
            scores = self.cf.score(data.dataset.pairs(rows))
            self.residual.fit(scores, data.dataset.labels(rows), answers)

    def logits_of(self, answers: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Return the answers, or what the residual makes of them and of the CF scores: [B]."""
        return answers if self.residual is None else self.residual(answers, batch["cf_scores"])

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return one group: the gate of a residual is trained with what it lets through."""
        groups = dict(super().parameter_groups())
        gate = groups.pop(RESIDUAL, [])
        return {name: [*group, *gate] for name, group in groups.items()}

    def weights_of(self, folder: Path) -> Weights:
        """Return what was trained in `folder`, the residual of both with it."""
        weights = super().weights_of(folder)
        if self.residual is None or not (folder / f"{RESIDUAL}.safetensors").exists():
            return weights
        return {**weights, RESIDUAL: read_module(self.residual, folder, RESIDUAL)}

    def adapter_input(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the CF vectors of the pairs and, where they act late, on which tokens."""
        vectors = self.vector_input(
            batch["user_vectors"], batch["item_vectors"], batch.get("match_vectors")
        )
        if not self.late:
            return {"cf_vectors": vectors}
        positions = torch.arange(batch["input_ids"].shape[1], device=vectors.device)
        return {"cf_vectors": vectors, "cf_active": positions >= batch["title_start"][:, None]}

    def training_logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logits; of late ones no gradient leads through what is frozen: [B]."""
        if not self.late or (sharing := self._sharing_in_training) is None:
            return self.logits(**batch)
        split = split_prompts(batch["input_ids"], batch["attention_mask"], batch["title_start"])
        if split is None or not sharing.holds(split):
            return self.logits(**batch)
        with self.before_pairs():
            prefixes = sharing.read(split.prefix_ids)
        read = of_suffix(self.read(**batch), split.suffix_ids.shape[1])
        with sharing.joined(prefixes, split) as mask:
            answers = self.answer_logits(
                attention_mask=mask, position_ids=split.position_ids, **read
            )
        return self.logits_of(answers, batch)

    @property
    def begins_without_pairs(self) -> bool:
        """Whether the increment acts from the title on only."""
        return self.late

    def before_pairs(self) -> AbstractContextManager[Any]:
        """Switch the increment off, in this thread."""
        switched_off: AbstractContextManager[Any] = self.model.disable_adapter()
        return switched_off

    @property
    def _sharing_in_training(self) -> PrefixSharing | None:
        """What shares prefixes; None where the whole prompt is run for each row."""
        if not self.shares_in_training:
            return None
        if getattr(self.model.get_base_model(), "is_activation_checkpointing", False):
            return None  # a block that is recomputed would not find its prefix
        sharing = self.prefix_sharing
        if isinstance(sharing, PrefixSharing):
            return sharing
        self.shares_in_training = False
        log.warning(
            "warning: the prompt before the title is run with gradients and for every row, so "
            "slower: prompts of %s cannot share it, since %s.",
            type(self.model.get_base_model()).__name__,
            sharing,
        )
        return None

    def frozen(self) -> PairSystem:
        """Return the same system with the increment switched off for its own prompts."""
        return FrozenSystem(self)

    @torch.no_grad()
    def write_lora(
        self, pair: Pairs, folder: Path, *, base_model: str, revision: str | None = None
    ) -> None:
        """Write the increment of one pair; see `corarec.adapter.export_lora`."""
        if self.late:
            raise ConfigError(
                "This run has late activation (system.activation: title): its increment acts from "
                "the title of the item on and leaves the prompt before it to the frozen model. A "
                "LoRA acts on every token, so it would answer otherwise. Export a run with "
                "activation: prompt."
            )
        if self.residual is not None:
            raise ConfigError(
                "This run adds the language model's answer to the CF model's score "
                "(system.residual: cf). A LoRA holds no such score, so it would answer otherwise. "
                "Export a run with residual: none."
            )
        vectors = self._vectors_of(pair)
        tuner = self.model.base_model
        export_lora(tuner, vectors, folder, base_model=base_model, revision=revision)

    @contextmanager
    def language_model(self, pair: Pairs | None = None) -> Iterator[Any]:
        """Yield the frozen model, or, with a pair, the model under the pair's increment."""
        if pair is None:
            with self.model.disable_adapter(), super().language_model() as model:
                yield model
            return
        if self.late:
            raise ConfigError(
                "This run has late activation (system.activation: title): its increment acts from "
                "the title of an item on, and general text has none, so it is the frozen model's. "
                "Leave the pair out."
            )
        with evaluating(self), torch.no_grad():
            vectors = self._vectors_of(pair)
        with evaluating(self.model), held_pair(self.model.base_model, vectors) as model:
            yield model

    @property
    def general_text(self) -> str:
        """Say what acts in text that is no prompt of this system."""
        return "nothing: CoRA is off"

    @torch.no_grad()
    def increment_norms(self, pairs: Pairs) -> list[IncrementNorm]:
        """Measure the increments of pairs; see `corarec.adapter.increment_norms`."""
        return increment_norms(self.model.base_model, self._generator_input(pairs))

    def _vectors_of(self, pair: Pairs) -> torch.Tensor:
        """Return what the generator reads of one pair: [2d]."""
        return self._generator_input(pair)[0]

    def _generator_input(self, pairs: Pairs) -> torch.Tensor:
        """Return what the generator reads of pairs: [N, 2d]."""
        table = self.cf.vector_table(pairs)
        users, items = (half.to(self.device) for half in table.lookup(np.arange(len(pairs))))
        matches = None if table.matches is None else table.matches.to(self.device)
        return self.vector_input(users, items, matches)

    def own_modules(self) -> dict[str, nn.Module]:
        """Return the scales of the CF vectors, and the residual."""
        own: dict[str, nn.Module] = {"vector_input": self.vector_input}
        return own if self.residual is None else own | {RESIDUAL: self.residual}
