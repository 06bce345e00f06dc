"""`rates`: a leave-one-out target encoding of user and item."""

from copy import copy
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from corarec.cf.base import CFModel, not_fitted
from corarec.cf.data import FitData, own_labels
from corarec.cf.feedback import Feedback, Overlay, Takes
from corarec.cf.report import FitCourse, OnEpoch
from corarec.cf.vectors import VectorTable, known_ids
from corarec.errors import DataError
from corarec.types import Config, FloatArray, IntArray, Pairs


class RatesConfig(Config):
    """Leave-one-out target encoding: shares of likes of user and item, and their counts."""

    smoothing: float = Field(default=5.0, gt=0)
    """How many rows at the global rate are added to every user's and item's own."""


class Rates(CFModel):
    """A leave-one-out target encoding of user and item.

    The vector of a half is `[smoothed liked rate - global rate, log(1 + count)]`, so `d = 2`.

    The two are brought to unit size over the known users (items): the rate is divided by its root
    mean square, the logarithm loses its mean and is divided by its standard deviation.

    Counted over the training rows. Where a pair is itself a training row (`TrainingPairs`),
    its own label is taken out of both halves first, so that its vectors do not know the answer;
    with nothing left the half is zero, as for the unknown. What remains of the label is the known
    trace of leave-one-out: among the rows of one user those that the user liked have a rate lower
    by about 1 / count.

    The score adds log-odds: `logit(user rate) + logit(item rate) - logit(global rate)`.
    """

    name: ClassVar[str] = "rates"
    config_class: ClassVar[type[Config]] = RatesConfig

    def __init__(self, config: RatesConfig) -> None:
        super().__init__(config)
        self._options = config
        self._users: IntArray | None = None
        self._items: IntArray | None = None
        self._scale: FloatArray | None = None
        """What the fit measured, in a model that was extended."""
        self._overlay = Overlay()
        self._folded: IntArray = np.zeros((0, 2), dtype=np.int64)

    @property
    def takes(self) -> Takes:
        """Rows: a user's are counted; the counts of items, and what sizes vectors, stay."""
        return "rows"

    def knowing(self, feedback: Feedback) -> "Rates":
        """Return this model with the rows of the users of the feedback counted.

        Rows of items that the fit did not know count, too: they tell how much the user likes.
        """
        if self._users is None:
            raise not_fitted(self)
        model = copy(self)
        base = self._users[known_ids(feedback.users, len(self._users))]
        for some, sign in ((feedback.new, 1), (feedback.gone, -1)):
            places = np.searchsorted(feedback.users, feedback.rows.user_ids[some])
            base = base + sign * _count(places, feedback.rows.labels[some], len(base) - 1)
        model._overlay, model._folded = Overlay(feedback.users), np.maximum(base, 0)
        return model

    def extended(self, feedback: Feedback, num_items: int) -> "Rates":
        """Return this model with the rows counted for good, of users and of items.

        What brings vectors to unit size stays that of the fit.
        """
        if self._users is None or self._items is None:
            raise not_fitted(self)
        model = copy(self)
        model._scale = self._scaling()
        sides = []
        for counts, ids, largest in (
            (self._users, feedback.rows.user_ids, feedback.num_users),
            (self._items, feedback.rows.item_ids, num_items),
        ):
            total = np.zeros((max(largest + 1, len(counts)), 2), dtype=np.int64)
            total[: len(counts)] = counts
            for some, sign in ((feedback.new, 1), (feedback.gone, -1)):
                total += sign * _count(ids[some], feedback.rows.labels[some], len(total) - 1)
            sides.append(np.maximum(total, 0))
        model._users, model._items = sides
        return model

    @property
    def vector_size(self) -> int:
        """Two: rate and count."""
        return 2

    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Count; nothing is random, so the seed changes nothing."""
        self._users = _count(data.train.user_ids, data.train_labels, data.num_users)
        self._items = _count(data.train.item_ids, data.train_labels, data.num_items)
        return FitCourse()

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of every pair, one per user (item) and own label."""
        users, user_rows = self._half(self._users, pairs.user_ids, pairs, folded=True)
        items, item_rows = self._half(self._items, pairs.item_ids, pairs)
        sized = self._unit_size(users, self._users), self._unit_size(items, self._items)
        return VectorTable(*sized, user_rows, item_rows)

    def score(self, pairs: Pairs) -> FloatArray:
        """Return the sum of both halves' log-odds: [N] logits."""
        users, user_rows = self._half(self._users, pairs.user_ids, pairs, folded=True)
        items, item_rows = self._half(self._items, pairs.item_ids, pairs)
        mean = self._mean()
        user_odds, item_odds = _logit(mean + users[:, 0]), _logit(mean + items[:, 0])
        return user_odds[user_rows] + item_odds[item_rows] - float(_logit(np.array(mean)))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the counts of users and of items: [U + 1, 2] and [I + 1, 2] int64.

        Of a model that was extended also its scale.
        """
        if self._users is None or self._items is None:
            raise not_fitted(self)
        tensors = {"users": torch.from_numpy(self._users), "items": torch.from_numpy(self._items)}
        return (
            tensors if self._scale is None else tensors | {"scale": torch.from_numpy(self._scale)}
        )

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over the counts."""
        for key in ("users", "items"):
            if tensors[key].ndim != 2 or tensors[key].shape[1] != 2:
                raise ValueError(f"'{key}' should be rows of (count, liked)")
        self._users, self._items = tensors["users"].numpy(), tensors["items"].numpy()
        self._scale = tensors["scale"].numpy() if "scale" in tensors else None
        if self._scale is not None and self._scale.shape != (5, 2):
            raise ValueError(f"the scale has the shape {self._scale.shape}")

    def _mean(self) -> float:
        if self._users is None:
            raise not_fitted(self)
        if self._scale is not None:
            return float(self._scale[4, 0])
        rows, liked = self._users.sum(0)
        return float(liked / rows)

    def _scaling(self) -> FloatArray:
        """Return the centre and size of users, then of items, and the mean: [5, 2]."""
        if self._scale is not None:
            return self._scale
        assert self._users is not None
        assert self._items is not None
        parts = [*self._centre_and_size(self._users), *self._centre_and_size(self._items)]
        return np.stack([*parts, np.array([self._mean(), 0.0])])

    def _centre_and_size(self, counts: IntArray) -> tuple[FloatArray, FloatArray]:
        known = self._statistics(counts[counts[:, 0] > 0])
        centre = np.array([0.0, known[:, 1].mean()])
        size = np.sqrt(((known - centre) ** 2).mean(0))
        return centre, np.where(size > 0, size, 1)

    def _unit_size(self, half: FloatArray, counts: IntArray | None) -> torch.Tensor:
        """Return the vectors of (centred rate, log count) [R, 2]; zero without a count."""
        assert counts is not None  # `_half` came first
        if self._scale is None:
            centre, size = self._centre_and_size(counts)
        else:
            place = 0 if counts is self._users else 2
            centre, size = self._scale[place], self._scale[place + 1]
        vectors = (half - centre) / size * (half[:, 1:] > 0)
        return torch.from_numpy(vectors.astype(np.float32))

    def _statistics(self, counts: IntArray) -> FloatArray:
        """Map (count, liked) [R, 2] to (centred smoothed rate, log count) [R, 2]."""
        (count, liked), mean, strength = counts.T, self._mean(), self._options.smoothing
        rate = (liked + strength * mean) / (count + strength)
        return np.stack([rate - mean, np.log1p(count)], axis=1)

    def _half(
        self, counts: IntArray | None, ids: IntArray, pairs: Pairs, *, folded: bool = False
    ) -> tuple[FloatArray, IntArray]:
        """Return the distinct (centred rate, log count) [R, 2] and each pair's place in it [N]."""
        if counts is None:
            raise not_fitted(self)
        places = known_ids(ids, len(counts))
        if folded and len(self._folded):
            places = self._overlay.places(ids, len(counts))
            counts = np.concatenate([counts, self._folded])
        keys = 3 * places + own_labels(pairs) + 1
        distinct, rows = np.unique(keys, return_inverse=True)
        known, own = distinct // 3, distinct % 3 - 1
        rest = counts[known] - np.stack([own >= 0, own == 1], axis=1)
        if (rest < 0).any():
            row = int(np.argmax(rows == np.argmax((rest < 0).any(1))))
            raise DataError(
                f"Pair {row} (id {ids[row]}) is marked as a training row, but these rates were not "
                "counted over it. Set its own label to NaN (corarec.cf.VectorSource does)."
            )
        return self._statistics(rest), rows


def _count(ids: IntArray, labels: IntArray, largest: int) -> IntArray:
    """Return (rows, liked rows) per id: [largest + 1, 2]."""
    rows = np.bincount(ids, minlength=largest + 1)
    liked = np.bincount(ids[labels == 1], minlength=largest + 1)
    return np.stack([rows, liked], axis=1)


def _logit(rate: FloatArray) -> FloatArray:
    return np.log(rate) - np.log1p(-rate)
