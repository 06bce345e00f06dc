"""How far a fit is: its best weights so far, and all that it goes on from."""

import copy
import math
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import nn

from corarec.cf.training.checkpoint import Checkpointer
from corarec.errors import TrainingError


class Progress:
    """How far a fit is, and the best weights so far."""

    def __init__(self, network: nn.Module) -> None:
        self.epoch = 0
        self.valid_auc = 0.0
        self.best_epoch = 0
        self.best_valid_auc = 0.0
        self.best_weights: dict[str, Any] = copy.deepcopy(network.state_dict())

    def stalled(self, patience: int) -> bool:
        """Whether so many epochs brought nothing better."""
        return self.epoch - self.best_epoch >= patience

    def add(self, network: nn.Module, valid_auc: float) -> None:
        """Take in an epoch, whose weights are kept if it is the best."""
        self.epoch += 1
        self.valid_auc = valid_auc
        if valid_auc > self.best_valid_auc:
            self.best_epoch, self.best_valid_auc = self.epoch, valid_auc
            self.best_weights = copy.deepcopy(network.state_dict())

    def state(self) -> dict[str, Any]:
        """Return all of it."""
        return dict(vars(self))

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        vars(self).update(state)


@dataclass
class FitState:
    """A fit by gradient steps: all that it goes on from."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    progress: Progress
    checkpointer: Checkpointer
    told: dict[str, float] = field(default_factory=dict)
    """Figures of earlier epochs that are told again."""

    @classmethod
    def begin(
        cls,
        network: nn.Module,
        generator: torch.Generator,
        checkpointer: Checkpointer,
        *,
        learning_rate: float,
        weight_decay: float,
        told: dict[str, float] | None = None,
    ) -> Self:
        """Return a fit by Adam, where its checkpoint left it if there is one."""
        optimizer = torch.optim.Adam(
            network.parameters(), lr=learning_rate, weight_decay=weight_decay, fused=True
        )
        fit = cls(network, optimizer, generator, Progress(network), checkpointer, told or {})
        if (state := checkpointer.read()) is not None:
            fit.load(state)
        return fit

    def goes_on(self, max_epochs: int, patience: int) -> bool:
        """Whether another epoch is wanted."""
        return self.progress.epoch < max_epochs and not self.progress.stalled(patience)

    def step(self, loss: torch.Tensor) -> float:
        """Take a step down a loss, and return it.

        Raises
        ------
        TrainingError
            It is not finite.
        """
        value = loss.item()
        if not math.isfinite(value):
            raise TrainingError(
                f"The loss is {value} in epoch {self.progress.epoch + 1}. {self.advice}"
            )
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return value

    @property
    def advice(self) -> str:
        """What helps where a number is not finite."""
        return f"Lower the learning rate (now {self.optimizer.param_groups[0]['lr']:g})."

    def keep(self) -> None:
        """Write a checkpoint where one is due."""
        self.checkpointer.write_if_due(self.state)

    def end(self) -> None:
        """Give the network its best weights; the checkpoint is not needed any more."""
        self.network.load_state_dict(self.progress.best_weights)
        self.checkpointer.remove()

    def state(self) -> dict[str, Any]:
        """Return all of it, for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "progress": self.progress.state(),
            "told": self.told,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        self.progress.load(state["progress"])
        self.told.update(state.get("told", {}))
