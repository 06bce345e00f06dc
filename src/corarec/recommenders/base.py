"""What every system of the benchmark is: it owns its examples, its loss and its validation."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.recommenders.phase import Phase
from corarec.score.batches import Examples
from corarec.types import IntArray

Validate = Callable[[], dict[str, float]]
"""Returns metrics by name, of the system as it stands and in evaluation mode."""
Weights = Mapping[str, Mapping[str, torch.Tensor]]
"""Parameter group -> tensors by name."""


@dataclass(frozen=True)
class TrainingData:
    """What a system may learn from, and what chooses its weights."""

    dataset: Dataset
    train_rows: IntArray
    """Numbers of the rows to learn from."""
    valid_rows: IntArray
    """Numbers of the validation rows that choose the best weights."""

    @property
    def parts(self) -> tuple[tuple[str, IntArray, str], ...]:
        """Both kinds of rows with their names, and which option brings more of them."""
        return (
            ("training", self.train_rows, "Lower train.train_from, or prepare other data."),
            (
                "validation",
                self.valid_rows,
                "Raise train.validation_rows or train.validation_fraction.",
            ),
        )


class Recommender(nn.Module, ABC):
    """A system of the benchmark.

    The trainer brings batches of its examples to it and steps on the loss that `forward` returns;
    only parameters with `requires_grad` are trained. A training has one phase or several, and
    `begin` says which: examples, loss, validation and metric may differ from phase to phase.
    Whatever a phase leaves behind for the next, `save` writes and `load` reads.
    """

    metric: str
    """The metric of its validation that chooses the best weights."""
    higher_is_better: bool = True
    """Whether more of it is better."""
    phase: Phase = Phase()
    """The phase that it is in."""

    gather: Callable[[torch.Tensor], torch.Tensor] | None = None
    """Where several processes have a share of each batch: puts the rows of all together."""

    @property
    def splits_batches(self) -> bool:
        """Whether a batch can be shared among processes.

        It can where `forward` calls `gathered` on all that the loss is made of.
        """
        return False

    def gathered(self, own: torch.Tensor) -> torch.Tensor:
        """Return the rows of a whole batch, of which this process may have a share only.

        Parameters
        ----------
        own
            [n, ...]; [B, ...] comes back, with gradients for these rows.
        """
        return own if self.gather is None else self.gather(own)

    @classmethod
    def check(cls, data: TrainingData) -> None:
        """Refuse data that this system cannot learn or be chosen on, before any work is done.

        Raises
        ------
        ConfigError
            What is missing, and which option changes it.
        """

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Return what can be trained, by name; every such parameter is in one group.

        Whether a parameter is frozen at the moment makes no difference.
        """
        return {"all": self._trainable} if self._trainable else {}

    @cached_property
    def _trainable(self) -> list[nn.Parameter]:
        """What could be trained before any phase froze a part of it."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def train_only(self, names: Iterable[str] | None) -> None:
        """Freeze all parameter groups but these; None: freeze none.

        Raises
        ------
        ConfigError
            There is no such group.
        """
        groups = self.parameter_groups()
        chosen = list(groups if names is None else names)
        if unknown := [name for name in chosen if name not in groups]:
            raise ConfigError(
                f"{type(self).__name__} has no parameters {unknown[0]!r} to train as it is "
                f"configured; it has {', '.join(groups) or 'none'}. Change the phase's "
                "`parameters`, or the system."
            )
        for name, parameters in groups.items():
            for parameter in parameters:
                parameter.requires_grad_(name in chosen)
                parameter.grad = None

    def check_phase(self, phase: Phase, data: TrainingData) -> None:
        """Refuse a phase that cannot be trained or chosen by, before the first of all begins.

        Raises
        ------
        ConfigError
            What is missing, and which option changes it.
        """
        self.train_only(phase.parameters)

    def begin(self, phase: Phase) -> None:
        """Take up a phase: from here on its parameters are trained, by its examples and loss.

        Called once before the first step of a phase or the first after a resume, and with the last
        phase when a trained system is opened.
        """
        self.phase = phase
        self.train_only(phase.parameters)

    @classmethod
    def chosen_by(cls, phase: Phase) -> tuple[str, bool]:
        """Return the metric that chooses the best weights of a phase, and if more is better."""
        return cls.metric, cls.higher_is_better

    def prepare(self, data: TrainingData) -> None:
        """Take from the training data what is no weight but must be known; most have nothing."""

    @abstractmethod
    def examples(self, data: TrainingData) -> Examples:
        """Return what the system learns from."""

    @abstractmethod
    def forward(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch of examples: a scalar."""

    @abstractmethod
    def validation(self, data: TrainingData) -> Validate:
        """Return what computes the validation metrics, `metric` among them."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the trained parameters, and nothing of the frozen model, into `folder`."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Read what `save` wrote.

        Raises
        ------
        ArtifactError
            The folder is damaged or belongs to another model.
        """

    def weights_of(self, folder: Path) -> Weights:
        """Return what `save` of a system, this or another, wrote of groups that this one has.

        Raises
        ------
        ArtifactError
            There are none, or they do not fit.
        """
        raise ConfigError(
            f"{type(self).__name__} cannot start from the weights of another run. Take `init_from` "
            "out of the phase."
        )

    def take(self, weights: Weights) -> None:
        """Set parameter groups to what `weights_of` returned."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def trainable_parameters(self) -> int:
        """Return how many numbers training may change."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
