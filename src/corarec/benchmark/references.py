"""The trivial references: what needs no language model and no collaborative filtering.

They are strong, so they stand beside every result. Minus the history length is there for another
reason: within a user a longer history means a later row, so UAUC of a model that sees the length
is not 0.5 by nature.
"""

from dataclasses import dataclass

import numpy as np
from pydantic import Field
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression

from corarec.errors import DataError
from corarec.evaluate import auc
from corarec.types import Config, FloatArray, IntArray, Pairs

ITEM_RATE = "Item rate"
LOGISTIC_REGRESSION = "Logistic regression, user + item"
HISTORY_LENGTH = "Minus history length"
NO_LOGITS = (ITEM_RATE, HISTORY_LENGTH)
"""References whose scores only put rows in order."""


@dataclass(frozen=True)
class LabelledPairs:
    """Pairs with their labels."""

    pairs: Pairs
    labels: IntArray
    """[N] 0 or 1"""


class ReferenceConfig(Config):
    """How the trivial references are fitted."""

    smoothing: float = Field(default=5.0, gt=0)
    """Weight of the overall rate in an item's rate, in rows."""
    inverse_penalties: tuple[float, ...] = Field(
        default=(0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0), min_length=1
    )
    """The C of logistic regression; the one with the largest validation AUC is kept."""


@dataclass(frozen=True)
class TrivialReferences:
    """Item rate, logistic regression on one-hot user and item, and minus the history length."""

    rates: FloatArray
    """[I + 1] smoothed share of positives of each item that train knows"""
    overall_rate: float
    num_users: int
    """U, the largest user of train"""
    coefficients: FloatArray
    """[U + I + 2] of users 0..U, then of items 0..I"""
    intercept: float
    inverse_penalty: float
    """The C that was chosen."""

    def scores(self, pairs: Pairs) -> dict[str, FloatArray]:
        """Return each reference's scores of the pairs, by the reference's name: [N] each."""
        features = one_hot(pairs, self.num_users, len(self.rates) - 1)
        return {
            ITEM_RATE: self._item_rate(pairs),
            LOGISTIC_REGRESSION: features @ self.coefficients + self.intercept,
            HISTORY_LENGTH: -pairs.histories.lengths().astype(np.float64),
        }

    def _item_rate(self, pairs: Pairs) -> FloatArray:
        known = pairs.item_ids < len(self.rates)
        rates = np.full(len(pairs), self.overall_rate)
        rates[known] = self.rates[pairs.item_ids[known]]
        return rates


def fit_references(
    train: LabelledPairs, valid: LabelledPairs, config: ReferenceConfig | None = None
) -> TrivialReferences:
    """Fit the trivial references on train, and choose the penalty of one on valid.

    Raises
    ------
    DataError
        Train or valid has one label only, or no rows.
    """
    config = config or ReferenceConfig()
    for split, rows in (("train", train), ("valid", valid)):
        if len(np.unique(rows.labels)) < 2:
            raise DataError(
                f"The {len(rows.labels)} rows of {split} do not have both labels, so the "
                "trivial references cannot be fitted. Check the split and the threshold."
            )
    rates, overall_rate = item_rates(train, config.smoothing)
    num_users = int(train.pairs.user_ids.max())
    features = [one_hot(rows.pairs, num_users, len(rates) - 1) for rows in (train, valid)]
    best: tuple[float, float, LogisticRegression] | None = None
    for inverse_penalty in config.inverse_penalties:
        model = LogisticRegression(C=inverse_penalty, max_iter=1000)
        model.fit(features[0], train.labels)
        valid_auc = auc(valid.labels, model.decision_function(features[1]))
        if valid_auc is not None and (best is None or valid_auc > best[0]):
            best = (valid_auc, inverse_penalty, model)
    assert best is not None  # valid has both labels
    _, inverse_penalty, model = best
    return TrivialReferences(
        rates=rates,
        overall_rate=overall_rate,
        num_users=num_users,
        coefficients=model.coef_[0],
        intercept=float(model.intercept_[0]),
        inverse_penalty=inverse_penalty,
    )


def one_hot(pairs: Pairs, num_users: int, num_items: int) -> csr_array:
    """Return [N, U + I + 2] with two ones per row; larger ids, and 0, have no column."""
    users = np.where(pairs.user_ids <= num_users, pairs.user_ids, 0)
    items = np.where(pairs.item_ids <= num_items, pairs.item_ids, 0)
    known = np.stack([users > 0, items > 0], axis=1)
    columns = np.stack([users, items + num_users + 1], axis=1)[known]
    row_ends = np.concatenate([[0], np.cumsum(known.sum(axis=1))])
    shape = (len(pairs), num_users + num_items + 2)
    return csr_array((np.ones(len(columns)), columns, row_ends), shape=shape)


def item_rates(train: LabelledPairs, smoothing: float) -> tuple[FloatArray, float]:
    """Return each item's smoothed share of positives, [I + 1], and the share over all rows.

    An item with `n` rows and `p` positives has the rate `(p + k m) / (n + k)`, with the share `m`
    over all rows and the smoothing `k`; an item without rows has `m`.
    """
    overall = float(train.labels.mean())
    rows = np.bincount(train.pairs.item_ids)
    positives = np.bincount(train.pairs.item_ids, weights=train.labels)
    return (positives + smoothing * overall) / (rows + smoothing), overall
