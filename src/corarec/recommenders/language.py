"""What the systems around a frozen language model share: a config, weights on disk, groups."""

import inspect
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from peft import PeftModel, set_peft_model_state_dict
from torch import nn

from corarec.adapter.norms import IncrementNorm
from corarec.backbone import Backbone, BackboneConfig
from corarec.errors import ArtifactError, ConfigError
from corarec.files import read_json, write_json
from corarec.prompts import PromptToken
from corarec.recommenders.base import Recommender, Weights
from corarec.recommenders.general_text import evaluating, plain_model
from corarec.recommenders.ingredients import Ingredients
from corarec.recommenders.saved import (
    check_same_adapter,
    read_adapter,
    read_module,
    write_module,
)
from corarec.score.batches import Examples, PairSystem
from corarec.types import Config, IntArray, Pairs

OWNER = "backbone.json"


class LanguageSystem(Config):
    """What the config of every system around a language model holds."""

    name: str
    """The name by which a recipe chooses the system; the same for all configs of one class."""

    parameter_groups: ClassVar[tuple[str, ...] | None] = None
    """Names of what it can train, as its `Recommender.parameter_groups` has them, for errors before
    any work; None: they are seen when the system is built."""
    tasks: ClassVar[tuple[str, ...]] = ()
    """What a phase of its training can be for, the last being that of a trained system; none: a
    phase differs from another in nothing but its settings."""

    backbone: BackboneConfig = BackboneConfig()
    """The frozen language model."""

    @property
    def needs_training_rows(self) -> bool:
        """Whether the trained system reads rows of the training split, as some controls do."""
        return False

    @property
    def learns_logits(self) -> bool:
        """Whether its loss is that of the logits of pairs, to which `train.loss` can add."""
        return False

    @property
    def keeps_dropout(self) -> bool:
        """Whether the language model keeps its own dropout, which then acts in training."""
        return False


@dataclass(frozen=True)
class Reading:
    """What the language model reads of some pairs, before anything is shortened."""

    tokens: IntArray
    """[N] how many tokens."""
    max_length: int | None
    """How many it reads at most."""
    example: str
    """What it reads of the first pair, as text."""
    answers: str
    """What a score is read from."""


class LanguageRecommender(Recommender):
    """A system around a frozen causal language model, plain or wrapped by PEFT.

    Parameters
    ----------
    model
        The causal language model.
    backbone
        What `model` was made from.
    """

    config_class: ClassVar[type[LanguageSystem]]
    """The config that `build` takes; the default of its `name` is that of the system."""
    needs_cf: ClassVar[bool] = False
    """Whether the system reads CF vectors."""
    adapter_group: ClassVar[str] = "lora"
    """The parameter group of what PEFT put on the model; systems that can start from each other's
    have it by the same name."""

    def __init__(self, model: Any, backbone: Backbone) -> None:
        super().__init__()
        self.model = model
        self.fingerprint = backbone.fingerprint
        self._trained: frozenset[str] = frozenset()

    @classmethod
    @abstractmethod
    def build(cls, config: Any, ingredients: Ingredients) -> Self:
        """Make the system that `config` describes, untrained."""

    @abstractmethod
    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> Examples:
        """Gather what the system reads of `pairs`.

        Parameters
        ----------
        new_titles
            Titles of items that are not in the catalogue of `I` items: id `I + 1` is the first.
        """

    @abstractmethod
    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logit of "the user enjoys the item": [B]."""

    @abstractmethod
    def shown(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> IntArray:
        """Return how many items of the history each pair's prompt shows, the last of them: [N]."""

    @abstractmethod
    def reading(self, pairs: Pairs) -> Reading:
        """Return what the language model reads of `pairs`, for whoever wants to see it."""

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

    @property
    def base_model(self) -> Any:
        """The causal language model without what PEFT put around it."""
        return plain_model(self.model)

    def enable_gradient_checkpointing(self, on: bool = True) -> None:
        """Recompute activations in the backward pass instead of keeping them, or not any more."""
        base = self.base_model
        if on:
            base.activation_checkpointing_enable(
                activation_checkpointing_kwargs={"use_reentrant": False}
            )
        else:
            base.activation_checkpointing_disable()

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

    def increment_norms(self, pairs: Pairs) -> list[IncrementNorm] | None:
        """Return how large the weights are that pairs get, by layer; None where they get none."""
        return None

    def tokens(self, pairs: Pairs) -> list[list[PromptToken]] | None:
        """Return the prompt of every pair token by token; None where pairs are no text."""
        return None

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

    def positions(self, attention_mask: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return `position_ids` [B, T] of left-padded rows, where the model takes them."""
        if not self.takes_positions:
            return {}
        # A left-padded row must count from its own first token.
        return {"position_ids": (attention_mask.cumsum(dim=1) - 1).clamp(min=0)}

    @cached_property
    def takes_positions(self) -> bool:
        """Whether the language model can be told where its tokens stand."""
        return "position_ids" in inspect.signature(self.base_model.forward).parameters
