"""Pointwise training: binary cross-entropy on logged labels, Adam, early stop on validation AUC."""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn
from torch.nn import functional as F

from corarec.cf.checkpoint import Checkpointer
from corarec.cf.data import FitData
from corarec.cf.report import EpochRecord, FitCourse, OnEpoch, auc
from corarec.errors import TrainingError
from corarec.types import Config, FloatArray, IntArray, Pairs

Inputs = tuple[torch.Tensor, ...]


class PointwiseConfig(Config):
    """How a CF network is trained."""

    embedding_size: int = Field(default=256, gt=0)
    """Size of one embedding."""
    learning_rate: float = Field(default=1e-2, gt=0)
    """Adam's step size, constant."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Adam's L2 penalty (added to the gradient, as in the original Adam, not decoupled)."""
    batch_size: int = Field(default=2048, gt=0)
    """Training rows per step."""
    max_epochs: int = Field(default=1000, gt=0)
    """Passes over the training rows at most."""
    patience: int = Field(default=20, gt=0)
    """Stop after this many epochs without a better validation AUC."""


class PointwiseNetwork(nn.Module, ABC):
    """A network that gives a logit per pair.

    Embedding rows that never occur in training start at zero and so stay at zero: neither the loss
    nor the weight decay moves them (see `start_embedding`).
    """

    @abstractmethod
    def batcher(self, pairs: Pairs) -> Callable[[torch.Tensor], Inputs]:
        """Return a function from row numbers [B] to the arguments of `forward`."""

    @abstractmethod
    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits: [B]."""

    def begin_epoch(self, epoch: int) -> None:
        """Hear which epoch begins, counted from 1."""

    def row_groups(self, pairs: Pairs) -> IntArray:
        """Return a group per row [N]; the shuffle keeps the rows of a group together."""
        return np.arange(len(pairs))


def zero_embedding(rows: int, size: int) -> nn.Embedding:
    """Return an embedding of zeros; unlike the plain constructor it draws nothing."""
    return nn.Embedding.from_pretrained(torch.zeros(rows, size), freeze=False)


def start_embedding(
    embedding: nn.Embedding, seen: IntArray, std: float, generator: torch.Generator
) -> None:
    """Draw normal start values for the rows in `seen`; all other rows are zero."""
    with torch.no_grad():
        rows = torch.from_numpy(np.unique(seen))
        embedding.weight.zero_()
        embedding.weight[rows] = std * torch.randn(
            len(rows), embedding.embedding_dim, generator=generator
        )


@torch.inference_mode()
def predict(network: PointwiseNetwork, pairs: Pairs, batch_size: int = 16384) -> FloatArray:
    """Return the network's logits with dropout off: [N]."""
    network.eval()
    batch = network.batcher(pairs)
    scores = [network(*batch(rows)) for rows in torch.arange(len(pairs)).split(batch_size)]
    return torch.cat(scores).numpy().astype(np.float64)


def fit_pointwise(
    network: PointwiseNetwork,
    data: FitData,
    config: PointwiseConfig,
    generator: torch.Generator,
    checkpointer: Checkpointer,
    on_epoch: OnEpoch | None,
) -> FitCourse:
    """Train a network in place and leave it with the weights of its best epoch.

    Raises
    ------
    TrainingError
        The loss or a validation score is not finite.
    """
    optimizer = torch.optim.Adam(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    progress = Progress(network)
    fit = FitState(network, optimizer, generator, progress)
    if (state := checkpointer.read()) is not None:
        fit.load(state)
    batch = network.batcher(data.train)
    groups = torch.from_numpy(network.row_groups(data.train))
    labels = torch.from_numpy(data.train_labels).float()
    while progress.epoch < config.max_epochs and not progress.stalled(config.patience):
        epoch = progress.epoch + 1
        order = _shuffle(groups, generator)
        scores = torch.empty(len(labels))
        total_loss = 0.0
        network.train()
        network.begin_epoch(epoch)
        for rows in order.split(config.batch_size):
            logits = network(*batch(rows))
            loss = F.binary_cross_entropy_with_logits(logits, labels[rows])
            if not math.isfinite(loss.item()):
                raise TrainingError(
                    f"The loss is {loss.item()} in epoch {epoch}. Lower the learning rate "
                    f"(now {config.learning_rate:g})."
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scores[rows] = logits.detach()
            total_loss += loss.item() * len(rows)
        valid_scores = predict(network, data.valid)
        if not np.isfinite(valid_scores).all():
            raise TrainingError(
                f"A validation score is not finite after epoch {epoch}. Lower the learning rate "
                f"(now {config.learning_rate:g})."
            )
        progress.add(network, auc(data.valid_labels, valid_scores))
        if on_epoch is not None:
            record = EpochRecord(
                epoch=epoch,
                loss=total_loss / len(labels),
                train_auc=auc(data.train_labels, scores.double().numpy()),
                valid_auc=progress.valid_auc,
                best_valid_auc=progress.best_valid_auc,
            )
            on_epoch(record)
        checkpointer.write_if_due(fit.state)
    network.load_state_dict(progress.best_weights)
    checkpointer.remove()
    return FitCourse(
        best_epoch=progress.best_epoch,
        epochs=progress.epoch,
        train_auc=auc(data.train_labels, predict(network, data.train)),
        valid_auc=progress.best_valid_auc,
    )


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


def _shuffle(groups: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return all rows in random order, the rows of one group side by side."""
    ranks = torch.randperm(int(groups.max()) + 1, generator=generator)
    return torch.argsort(ranks[groups], stable=True)
