"""What the systems around a language model share: a prompt, a frozen model, an answer."""

import inspect
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from peft import PeftModel, set_peft_model_state_dict
from pydantic import model_validator
from torch import nn

from corarec.backbone import Backbone, BackboneConfig
from corarec.cf import VectorSource
from corarec.data import Catalogue, Dataset
from corarec.errors import ArtifactError, ConfigError
from corarec.files import read_json, write_json
from corarec.prompts import PromptConfig, PromptEncoder, Slot, check_slots
from corarec.prompts.templates import TITLE
from corarec.recommenders.answer_head import AnswerHead
from corarec.recommenders.base import Weights
from corarec.recommenders.general_text import evaluating, plain_model
from corarec.recommenders.phase import Phase
from corarec.recommenders.pointwise import PointwiseRecommender
from corarec.recommenders.saved import (
    check_same_adapter,
    read_adapter,
    read_module,
    write_module,
)
from corarec.recommenders.shared import PromptSharing
from corarec.score.scorer import Batch, PairSystem
from corarec.types import Config, IntArray, Pairs

AnswerScore = Literal["yes", "yes-minus-no"]
OWNER = "backbone.json"


class PromptSystem(Config):
    """What the config of every system around a language model holds."""

    name: str
    """The name by which a recipe chooses the system; the same for all configs of one class."""

    added_slots: ClassVar[frozenset[str]] = frozenset()
    """The slots of the prompt that the system fills beside titles and nouns."""
    needed_slots: ClassVar[frozenset[str]] = frozenset()
    """Those of them that must be in the prompt of the trained system."""
    parameter_groups: ClassVar[tuple[str, ...] | None] = None
    """Names of what it can train, as its `Recommender.parameter_groups` has them, for errors before
    any work; None: they are seen when the system is built."""

    backbone: BackboneConfig = BackboneConfig()
    """The frozen language model."""
    prompt: PromptConfig = PromptConfig()
    """How a pair becomes text."""
    answer: AnswerScore = "yes"
    """The score: `yes` is the logit of Yes (the authors' code), `yes-minus-no` its distance to the
    logit of No."""

    @property
    def needs_training_rows(self) -> bool:
        """Whether the trained system reads rows of the training split, as some controls do."""
        return False

    @model_validator(mode="after")
    def _check_slots(self) -> Self:
        check_slots(self.prompt, self.added_slots, self.needed_slots)
        return self


@dataclass(frozen=True)
class Ingredients:
    """What there is to build a system from."""

    backbone: Backbone
    catalogue: Catalogue
    train_pairs: Pairs | None
    """The pairs of the training split, for controls that confuse their users; None in a packed run,
    which has no such rows."""
    num_users: int
    """`U`, the users of the dataset."""
    seed: int
    """Of the start values."""
    cf: VectorSource | None = None
    """A fitted CF model, for systems that read its vectors."""
    dataset: Dataset | None = None
    """The dataset, for systems whose prompts show training rows; None in a packed run."""

    @property
    def num_items(self) -> int:
        """`I`, the items of the dataset."""
        return len(self.catalogue.titles) - 1

    def encoder(
        self,
        config: PromptConfig,
        slots: Mapping[str, Slot] | None = None,
        *,
        framed: bool = True,
    ) -> PromptEncoder:
        """Return what makes prompts of pairs, `slots` being those that the system fills.

        Without `framed` the turns of a chat are left out.
        """
        frame = self.backbone.frame
        return PromptEncoder(
            self.backbone.tokenizer,
            config,
            self.catalogue.titles,
            slots=slots,
            noun=self.catalogue.noun,
            nouns=self.catalogue.nouns,
            frame=(frame.before, frame.after) if framed else ("", ""),
            max_length=getattr(self.backbone.model.config, "max_position_embeddings", None),
        )


@dataclass
class PromptInputs:
    """Pairs as prompts, tokenised when a batch asks for them."""

    pairs: Pairs
    encoder: PromptEncoder
    new_titles: Sequence[str] = ()

    def __post_init__(self) -> None:
        self.lengths: IntArray = self.encoder.lengths(self.pairs, self.new_titles)

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, rows: IntArray) -> Batch:
        """Return `input_ids` and `attention_mask` (both [B, T]) and where the slots are.

        `title_start` [B] is the first token of the target title; the positions of the soft tokens
        of a slot, [B, n], bear its name and `_positions`.
        """
        encoded = self.encoder.encode(self.pairs.take(rows), self.new_titles)
        return {
            "input_ids": encoded.input_ids,
            "attention_mask": encoded.attention_mask,
            "title_start": encoded.starts[TITLE],
            **{f"{name}_positions": places for name, places in encoded.soft.items()},
        }


class PromptRecommender(PromptSharing, PointwiseRecommender):
    """A causal language model that answers Yes or No to a prompt.

    Parameters
    ----------
    model
        The causal language model, plain or wrapped by PEFT.
    backbone
        What `model` was made from: tokenizer and answer tokens.
    encoder
        Renders and tokenises pairs.
    """

    config_class: ClassVar[type[PromptSystem]]
    """The config that `build` takes; the default of its `name` is that of the system."""
    needs_cf: ClassVar[bool] = False
    """Whether the system reads CF vectors."""
    adapter_group: ClassVar[str] = "lora"
    """The parameter group of what PEFT put on the model; systems that can start from each other's
    have it by the same name."""

    def __init__(
        self, model: Any, backbone: Backbone, encoder: PromptEncoder, answer: AnswerScore
    ) -> None:
        super().__init__()
        self.model = model
        self.encoder = encoder
        self.answer = answer
        self.answers = backbone.answers
        self.answer_head = AnswerHead((self.answers.yes, self.answers.no))
        self.fingerprint = backbone.fingerprint
        self._trained: frozenset[str] = frozenset()

    @classmethod
    @abstractmethod
    def build(cls, config: Any, ingredients: Ingredients) -> Self:
        """Make the system that `config` describes, untrained."""

    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> PromptInputs:
        """Gather the prompts of `pairs`."""
        return PromptInputs(pairs, self.encoder, new_titles)

    def begin(self, phase: Phase) -> None:
        """Take up a phase, its prompt too."""
        super().begin(phase)
        if phase.prompt is not None:
            self.encoder = self.encoder.with_config(phase.prompt)

    def own_modules(self) -> dict[str, nn.Module]:
        """Return what the system has beside the adapter, by the name it is saved under.

        One that can be trained is a parameter group of that name.
        """
        return {}

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the adapter of the language model and the system's own modules."""
        return self._groups

    @cached_property
    def _groups(self) -> dict[str, list[nn.Parameter]]:
        modules = {self.adapter_group: self.model} | self.own_modules()
        groups = {
            name: [parameter for parameter in module.parameters() if parameter.requires_grad]
            for name, module in modules.items()
        }
        return {name: parameters for name, parameters in groups.items() if parameters}

    def enable_gradient_checkpointing(self, on: bool = True) -> None:
        """Recompute activations in the backward pass instead of keeping them, or not any more."""
        base = plain_model(self.model)
        if on:
            base.activation_checkpointing_enable(
                activation_checkpointing_kwargs={"use_reentrant": False}
            )
        else:
            base.activation_checkpointing_disable()

    def adapter_input(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what the adapter reads of a batch, by its keyword; most have none for pairs."""
        return {}

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logit of the answer: [B]."""
        return self.answer_logits(attention_mask=batch["attention_mask"], **self.read(**batch))

    def read(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what `answer_logits` takes of a batch beside its mask, by keyword."""
        tokens = {"input_ids": batch["input_ids"]}
        return tokens | self.model_input(**batch) | self.adapter_input(**batch)

    def answer_logits(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None,
        inputs_embeds: torch.Tensor | None = None,
        **extra: Any,
    ) -> torch.Tensor:
        """Return the logit of the answer after each prompt: [B].

        Only the last position is projected onto the vocabulary, and onto the answers in float32.

        Parameters
        ----------
        attention_mask
            [B, T] with 0 on padding, or what else the model takes; None where there is no padding.
        inputs_embeds
            [B, T, H] what the model reads in place of the embeddings of `input_ids`.
        **extra
            Go to the model; `position_ids` are otherwise counted from each row's first token.
        """
        read: dict[str, torch.Tensor] = {"input_ids": input_ids}
        if inputs_embeds is not None:
            read = {"inputs_embeds": inputs_embeds}
        if self.takes_positions and attention_mask is not None and "position_ids" not in extra:
            # A left-padded row must count from its own first token.
            extra["position_ids"] = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
        base = plain_model(self.model)
        with self.answer_head.precise(base):
            output = self.model(
                **read,
                attention_mask=attention_mask,
                # Not `1`: a slice of the last position is not contiguous, and PyTorch then copies
                # the whole vocabulary matrix once per row.
                logits_to_keep=torch.tensor([input_ids.shape[1] - 1], device=input_ids.device),
                **({"use_cache": False} | extra),
            )
        last = output.logits[:, -1].float()
        if self.answer == "yes":
            return last[:, self.answers.yes]
        return last[:, self.answers.yes] - last[:, self.answers.no]

    def frozen(self) -> PairSystem | None:
        """Return what the frozen model answers to the same prompts, for use beside this system.

        None where it cannot be asked without a change to what other threads see.
        """
        return None

    @contextmanager
    def language_model(self, pair: Pairs | None = None) -> Iterator[Any]:
        """Yield the language model as it serves text that is no prompt of this system.

        What was trained into its weights, such as a LoRA, acts in all text; what the system puts
        into its own prompts, such as soft tokens and codes, in none. It is the model of
        Transformers, in evaluation mode: to be called with `input_ids` and `attention_mask`, and to
        `generate`.

        Parameters
        ----------
        pair
            One pair whose weights act in all text of the block; item 0 is none, so that the weights
            are the user's alone. For systems that give weights to pairs.

        Raises
        ------
        ConfigError
            The system gives no weights to pairs, or not to all text.
        """
        if pair is not None:
            raise ConfigError(
                f"{type(self).__name__} gives no weights to users and items, so general text is "
                "answered alike for everybody. Leave the pair out."
            )
        with evaluating(self.model):
            yield plain_model(self.model)

    @property
    def general_text(self) -> str:
        """Say in a few words what acts in text that is no prompt of this system."""
        config = getattr(self.model, "active_peft_config", None)
        return "its LoRA" if config is not None and config.peft_type == "LORA" else "nothing"

    def model_input(self, **batch: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what the language model reads of a batch of prompts.

        `input_ids` [B, T], or `inputs_embeds` [B, T, H] where not all of it is text.
        """
        return {"input_ids": batch["input_ids"]}

    def write_lora(
        self, pair: Pairs, folder: Path, *, base_model: str, revision: str | None = None
    ) -> None:
        """Write the weights of one pair into a folder, as PEFT writes a LoRA.

        Parameters
        ----------
        pair
            One pair; item 0 is none, so that the weights are the user's alone.
        base_model, revision
            Where the frozen model is found.

        Raises
        ------
        ConfigError
            The system has no weights of a pair that a LoRA could hold.
        """
        if isinstance(self.model, PeftModel) and self.model.active_peft_config.peft_type == "LORA":
            raise ConfigError(
                f"{type(self).__name__} has one LoRA for all users and items, and none of a pair. "
                "The folder best/ of its run holds it as PEFT writes it: load that one."
            )
        raise ConfigError(
            f"{type(self).__name__} gives no weights to users and items, so there is no LoRA to "
            "export. Train a run with system.name 'cora'."
        )

    def save(self, folder: Path) -> None:
        """Write everything that any phase trains, the adapter in PEFT's own format.

        Beside it stand which frozen model it belongs to and which groups were trained so far.
        """
        if isinstance(self.model, PeftModel):
            self.model.save_pretrained(folder, save_embedding_layers=False)
        for name, module in self.own_modules().items():
            write_module(module, folder, name)
        trained = self._trained.union(self.phase.parameters or self.parameter_groups())
        write_json(folder / OWNER, {"backbone": self.fingerprint, "groups": sorted(trained)})

    def load(self, folder: Path) -> None:
        """Read what `save` wrote."""
        owner = self._owner(folder)
        self._trained = frozenset(owner.get("groups", self.parameter_groups()))
        if isinstance(self.model, PeftModel):
            set_peft_model_state_dict(
                self.model, read_adapter(self.model, folder, self.fingerprint)
            )
        for name, module in self.own_modules().items():
            module.load_state_dict(read_module(module, folder, name))

    def weights_of(self, folder: Path) -> Weights:
        """Return what was trained in `folder` of the groups that this system has."""
        trained = self._owner(folder).get("groups")
        if trained is None:
            raise ArtifactError(
                f"{folder} was written by an earlier version of corarec, which did not say what it "
                "trained. Train it again to start from it."
            )
        groups = self.parameter_groups()
        if not (common := [name for name in groups if name in trained]):
            raise ArtifactError(
                f"{folder} holds trained weights of {', '.join(trained)}, but this system trains "
                f"{', '.join(groups)}: there is nothing to start from. Name another run in "
                "`init_from`."
            )
        modules = self.own_modules()
        if self.adapter_group in common:
            check_same_adapter(self.model.peft_config["default"].to_dict(), folder)
        return {
            name: read_module(modules[name], folder, name)
            if name in modules
            else read_adapter(self.model, folder, self.fingerprint)
            for name in common
        }

    def take(self, weights: Weights) -> None:
        """Set parameter groups to what `weights_of` returned."""
        modules = self.own_modules()
        for name, tensors in weights.items():
            if name in modules:
                modules[name].load_state_dict(dict(tensors))
            else:
                set_peft_model_state_dict(self.model, dict(tensors))
        self._trained = self._trained.union(weights)

    def _owner(self, folder: Path) -> dict[str, Any]:
        record = read_json(folder / OWNER)
        record = record if isinstance(record, dict) else {}
        owner = record.get("backbone")
        if owner != self.fingerprint:
            raise ArtifactError(
                f"{folder} was trained on the frozen model {owner}, but this one is "
                f"{self.fingerprint}. Load it with the backbone that its run's config.yaml names."
            )
        return record

    def ways_to_share(self) -> Sequence[str]:
        """Return the ways in which it can read a common beginning once, the quickest first."""
        # Logits of another making may do with prompts what they like.
        usual = type(self).logits is PromptRecommender.logits
        return super().ways_to_share() if usual else ()

    @cached_property
    def takes_positions(self) -> bool:
        """Whether the language model can be told where its tokens stand."""
        base = plain_model(self.model)
        return "position_ids" in inspect.signature(base.forward).parameters
