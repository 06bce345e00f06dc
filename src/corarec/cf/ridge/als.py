"""`als`: ridge regressions in turn for users and items, a training pair's own row left out."""

from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from corarec.arrays import distinct
from corarec.cf.base import CFModel, not_fitted
from corarec.cf.data import FitData, own_labels
from corarec.cf.feedback import Feedback, Takes
from corarec.cf.report import EpochRecord, FitCourse, OnEpoch, auc
from corarec.cf.ridge.als_factors import Factors
from corarec.cf.vectors import VectorTable, biased_product, known_ids
from corarec.errors import TrainingError
from corarec.types import Config, FloatArray, Pairs


class ALSConfig(Config):
    """Ridge regressions in turn, a pair's own row left out; not the ALS of implicit feedback."""

    embedding_size: int = Field(default=16, gt=0)
    """Size of one factor; the vectors have two numbers more."""
    penalty: float = Field(default=20.0, gt=0)
    """Ridge penalty on the factors. On ML-1M they vanish from about 30 on, which costs no
    validation AUC there: the biases carry it."""
    bias_penalty: float = Field(default=3.0, gt=0)
    """Ridge penalty on the biases: as if so many rows at the expected rate were added."""
    init_std: float = Field(default=0.1, gt=0)
    """Standard deviation of the item factors' start values."""
    max_epochs: int = Field(default=30, gt=0)
    """Sweeps over users and items at most."""
    patience: int = Field(default=5, gt=0)
    """Stop after this many sweeps without a better validation AUC."""


class ALS(CFModel):
    """Alternating ridge regressions with an exact leave-one-out form; not implicit feedback's ALS.

    It fits the labels of the pairs that were seen, and nothing to those that were not, as Hu et
    al. 2008 do (the ALS of the library `implicit`). The leave-one-out form is for a second stage
    that is trained on the same rows.

    The label becomes a linearised logit `z = (y - m) / (m (1 - m))`, `m` the global rate, so that
    the score `logit(m) + b_u + b_i + p . q` with `z ~ b_u + b_i + p . q` is in logits. With the
    items held, a user's `[p, b_u]` is the ridge regression of `z - b_i` on `[q, 1]`, and the other
    way round. The vectors are `p' = [p, b_u, 1]` and `q' = [q, 1, b_i]` as in MF-b, so that
    `d = embedding_size + 2`.

    Where a pair is itself a training row (`TrainingPairs`), its user half is the regression
    without that row, and so is its item half; a half with no other row is zero. Each is exact with
    the other side held, which has itself seen the label among many.
    """

    name: ClassVar[str] = "als"
    config_class: ClassVar[type[Config]] = ALSConfig

    def __init__(self, config: ALSConfig) -> None:
        super().__init__(config)
        self._options = config
        self._factors: Factors | None = None

    @property
    def vector_size(self) -> int:
        """`d`: the factor and two numbers for the biases."""
        return self._options.embedding_size + 2

    @property
    def takes(self) -> Takes:
        """Rows: a user is the ridge regression that the fit itself makes, over all rows."""
        return "rows"

    def knowing(self, feedback: Feedback) -> "ALS":
        """Return this model with the users of the feedback as ridge regressions on all rows."""
        model = copy(self)
        model._factors = self._fitted().folding(feedback)
        return model

    def extended(self, feedback: Feedback, num_items: int) -> "ALS":
        """Return this model over more rows: users by the held items, then all items by the users.

        One half of a sweep, so that items that were rated move a little, too.
        """
        model = copy(self)
        model._factors = self._fitted().extended(feedback, num_items)
        return model

    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Sweep until the validation AUC rises no more; it takes seconds, so no checkpoint."""
        factors = best = self._start(data, torch.Generator().manual_seed(seed))
        best_epoch, best_valid, epoch = 0, 0.0, 0
        while epoch < self._options.max_epochs and epoch - best_epoch < self._options.patience:
            if epoch:
                factors = self._swept(factors)
            epoch += 1
            self._factors = factors
            scores = self.score(data.valid)
            if not np.isfinite(scores).all():
                raise TrainingError(
                    f"A validation score is not finite after sweep {epoch}. Raise the penalty "
                    f"(now {self._options.penalty:g})."
                )
            valid = auc(data.valid_labels, scores)
            if valid > best_valid:
                best, best_epoch, best_valid = factors, epoch, valid
            if on_epoch is not None:
                on_epoch(self._record(data, epoch, valid, best_valid))
        self._factors = best
        return FitCourse(best_epoch=best_epoch, epochs=epoch, valid_auc=best_valid)

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of every pair; a training row has halves of its own.

        Raises
        ------
        DataError
            A pair is marked as a training row that the model was not fitted on.
        """
        factors = self._fitted()
        users = torch.from_numpy(factors.user_places(pairs.user_ids))
        items = torch.from_numpy(known_ids(pairs.item_ids, len(factors.held_items)))
        own = torch.from_numpy(own_labels(pairs))
        factors.check_rows(users, items, own)
        return VectorTable(*factors.halves(users, items, own))

    def score(self, pairs: Pairs) -> FloatArray:
        """Return `logit(m) + b_u + b_i + p . q`: [N]; that of a training row without its label."""
        users, items = self.vector_table(pairs).lookup(np.arange(len(pairs)))
        rate = self._fitted().rate
        return biased_product(users, items) + float(np.log(rate / (1 - rate)))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the training rows and the held side, from which all else follows."""
        factors = self._fitted()
        rows = torch.stack([factors.user_ids, factors.item_ids, factors.labels], dim=1)
        tensors = {
            "rows": rows,
            "held_items": factors.held_items,
            "num_users": torch.tensor([factors.num_users]),
        }
        if factors.fitted_rate is not None:
            tensors["rate"] = torch.tensor([factors.fitted_rate], dtype=torch.float64)
        return tensors

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over the training rows and the held side."""
        user_ids, item_ids, labels = tensors["rows"].T.contiguous()
        held, num_users = tensors["held_items"], int(tensors["num_users"])
        if held.shape[1] != self._options.embedding_size + 1:
            raise ValueError(f"factors of {held.shape[1] - 1} numbers")
        self._factors = self._new(user_ids, item_ids, labels, held, num_users)
        if "rate" in tensors:
            self._factors = replace(self._factors, fitted_rate=float(tensors["rate"]))

    def _swept(self, factors: Factors) -> Factors:
        """Return the factors after one more sweep.

        The sides of those before are let go, since they take some hundred bytes a row; where they
        turn out to be the best they are made again.
        """
        held = factors.item_side.coefficients.float()
        for side in ("user_side", "item_side"):
            vars(factors).pop(side)
        return replace(factors, held_items=held)

    def _start(self, data: FitData, generator: torch.Generator) -> Factors:
        size = self._options.embedding_size
        held = torch.zeros(data.num_items + 1, size + 1)
        seen = torch.from_numpy(distinct(data.train.item_ids))
        start = torch.randn(len(seen), size, generator=generator)
        held[seen, :-1] = self._options.init_std * start
        return self._new(
            torch.from_numpy(data.train.user_ids),
            torch.from_numpy(data.train.item_ids),
            torch.from_numpy(data.train_labels),
            held,
            data.num_users,
        )

    def _new(
        self,
        user_ids: torch.Tensor,
        item_ids: torch.Tensor,
        labels: torch.Tensor,
        held_items: torch.Tensor,
        num_users: int,
    ) -> Factors:
        penalty, bias_penalty = self._options.penalty, self._options.bias_penalty
        return Factors(user_ids, item_ids, labels, held_items, num_users, penalty, bias_penalty)

    def _record(self, data: FitData, epoch: int, valid: float, best_valid: float) -> EpochRecord:
        scores = torch.from_numpy(self._scores(data.train))
        labels = torch.from_numpy(data.train_labels).double()
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, labels)
        return EpochRecord(
            epoch=epoch,
            loss=float(loss),
            train_auc=auc(data.train_labels, scores.numpy()),
            valid_auc=valid,
            best_valid_auc=best_valid,
        )

    def _fitted(self) -> Factors:
        if self._factors is None:
            raise not_fitted(self)
        return self._factors
