"""How far a fit is: its best weights so far, and all that it goes on from."""

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn


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
    """All that a fit goes on from."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    progress: Progress
    told: dict[str, float] = field(default_factory=dict)
    """Figures of earlier epochs that are told again."""

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
