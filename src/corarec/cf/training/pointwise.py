"""Pointwise training: binary cross-entropy on logged labels, Adam, early stop on validation AUC."""

import numpy as np
import torch
from pydantic import Field
from torch.nn import functional as F

from corarec.cf.data import FitData
from corarec.cf.report import EpochRecord, FitCourse, OnEpoch, auc
from corarec.cf.training.checkpoint import Checkpointer
from corarec.cf.training.network import PointwiseNetwork, predict
from corarec.cf.training.state import FitState
from corarec.errors import TrainingError
from corarec.types import Config


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

    def rows_of_step(self, rows: int) -> int:
        """Return how many of so many training rows a step takes."""
        return self.batch_size


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
    fit = FitState.begin(
        network,
        generator,
        checkpointer,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
    )
    progress = fit.progress
    batch = network.batcher(data.train)
    groups = torch.from_numpy(network.row_groups(data.train))
    labels = torch.from_numpy(data.train_labels).float()
    while fit.goes_on(config.max_epochs, config.patience):
        epoch = progress.epoch + 1
        order = _shuffle(groups, generator)
        scores = torch.empty(len(labels))
        total_loss = 0.0
        network.train()
        network.begin_epoch(epoch)
        for rows in order.split(config.rows_of_step(len(order))):
            logits = network(*batch(rows))
            loss = F.binary_cross_entropy_with_logits(logits, labels[rows])
            total_loss += fit.step(loss) * len(rows)
            scores[rows] = logits.detach()
        valid_scores = predict(network, data.valid)
        if not np.isfinite(valid_scores).all():
            raise TrainingError(
                f"A validation score is not finite after epoch {epoch}. {fit.advice}"
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
        fit.keep()
    fit.end()
    return FitCourse(
        best_epoch=progress.best_epoch,
        epochs=progress.epoch,
        train_auc=auc(data.train_labels, predict(network, data.train)),
        valid_auc=progress.best_valid_auc,
    )


def _shuffle(groups: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return all rows in random order, the rows of one group side by side."""
    ranks = torch.randperm(int(groups.max()) + 1, generator=generator)
    return torch.argsort(ranks[groups], stable=True)
