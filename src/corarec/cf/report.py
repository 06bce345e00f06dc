"""What a fit tells while it goes on, and when it is done."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from pydantic import Field
from sklearn.metrics import roc_auc_score

from corarec.data.history import KnowledgePolicy
from corarec.errors import TrainingError
from corarec.types import Config, FloatArray, IntArray


class EpochRecord(Config):
    """One epoch of a fit, as progress bars and logs show it."""

    epoch: int
    """Counted from 1."""
    loss: float
    """Mean binary cross-entropy of the epoch's training rows."""
    train_auc: float
    """AUC of the scores given while the epoch trained (dropout on, weights still moving)."""
    valid_auc: float
    """AUC on all validation rows after the epoch."""
    best_valid_auc: float
    """The best validation AUC up to here."""


OnEpoch = Callable[[EpochRecord], None]


class FitReport(Config):
    """The card of a fitted model: what made it and how well it does."""

    seed: int
    """Seed of the start values, the order of the rows and the dropout."""
    best_epoch: int = Field(ge=0)
    """The epoch whose weights were kept, counted from 1; 0 for a model without epochs."""
    epochs: int = Field(ge=0)
    """Epochs run in all."""
    train_auc: float
    """AUC of the kept weights on the training rows, as a second stage meets them."""
    valid_auc: float
    """AUC of the kept weights on all validation rows."""
    train_rows: int
    """How many rows the model was fitted on."""
    seconds: float
    """Wall time of the fit."""
    knowledge: KnowledgePolicy = KnowledgePolicy()
    """Which labels a row may see to whom this model gives vectors."""
    trained_until: int | None = None
    """Time (UTC seconds) of the last training row the model saw where it was fitted on the earlier
    part of the training rows only; `None` where it saw all of them."""


@dataclass(frozen=True)
class FitCourse:
    """How a fit went; the default is that of a model without epochs."""

    best_epoch: int = 0
    """The epoch whose weights were kept, counted from 1; 0 for a model without epochs."""
    epochs: int = 0
    """Epochs run in all."""
    train_auc: float | None = None
    """AUC of the kept weights on the training rows; None where the model's `score` gives it."""
    valid_auc: float | None = None
    """The same on the validation rows."""


class FitWatcher(Protocol):
    """Who hears of a fit."""

    def epoch(self, record: EpochRecord) -> None:
        """Hear of an epoch."""

    def done(self, report: FitReport) -> None:
        """Hear of the result."""


WatchFit = Callable[[str], AbstractContextManager[FitWatcher]]
"""Makes, for a model's name, who hears of its fit while it lasts."""


class _Nobody:
    def epoch(self, record: EpochRecord) -> None:
        pass

    def done(self, report: FitReport) -> None:
        pass


@contextmanager
def unwatched(name: str) -> Iterator[FitWatcher]:
    """Tell nobody."""
    yield _Nobody()


def auc(labels: IntArray, scores: FloatArray) -> float:
    """Return the area under the ROC curve; ties count half. Both classes must occur.

    All that training chooses by comes from here, of CF models and of systems. `corarec.evaluate`
    counts the same area by ranks, as its draws do; the two sum in another order and may differ in
    the last bit, which would be enough to keep the weights of another step.

    Raises
    ------
    TrainingError
        A score is not finite.
    """
    if not np.isfinite(scores).all():
        raise TrainingError(
            f"{np.count_nonzero(~np.isfinite(scores))} of {len(scores)} scores are not finite "
            "numbers. Lower the model's learning rate or raise its penalty."
        )
    return float(roc_auc_score(labels, scores))
