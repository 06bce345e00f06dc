"""What every system of the benchmark is: it owns its examples, its loss and its validation."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from corarec.data import Dataset
from corarec.score.scorer import Examples
from corarec.types import IntArray

Validate = Callable[[], dict[str, float]]
"""Returns metrics by name, of the system as it stands and in evaluation mode."""


@dataclass(frozen=True)
class TrainingData:
    """What a system may learn from, and what chooses its weights."""

    dataset: Dataset
    train_rows: IntArray
    """Numbers of the rows to learn from."""
    valid_rows: IntArray
    """Numbers of the validation rows that choose the best weights."""


class Recommender(nn.Module, ABC):
    """A system of the benchmark.

    The trainer brings batches of its examples to it and steps on the loss that `forward` returns;
    only parameters with `requires_grad` are trained.
    """

    metric: ClassVar[str]
    """The metric of its validation that chooses the best weights; more is better."""

    @classmethod
    def check(cls, data: TrainingData) -> None:
        """Refuse data that this system cannot learn or be chosen on, before any work is done.

        Raises
        ------
        ConfigError
            What is missing, and which option changes it.
        """

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

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def trainable_parameters(self) -> int:
        """Return how many numbers training may change."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
