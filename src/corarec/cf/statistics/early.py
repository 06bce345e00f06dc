"""Star ratings from before train: biases and factors of items, into which users are folded."""

from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from corarec.cf.counting.rows import SMOOTHING, Asked, KnownRows
from corarec.cf.statistics.config import StatisticsConfig
from corarec.cf.statistics.ridge import ridge
from corarec.errors import ConfigError
from corarec.types import FloatArray, IntArray, Log

ITEM_ROWS, USER_ROWS = 5.0, 10.0
"""Rows at the mean that are added to a bias."""
PENALTY = 12.0
SWEEPS = 8


@dataclass(frozen=True)
class Early:
    """What the earlier rows say of items, and the rows themselves, by which users are folded in."""

    rows: IntArray
    """[E, 3] user, item, time"""
    stars: FloatArray
    """[E] above or below the mean"""
    means: FloatArray
    """[3] of all stars, of those of disliked and of liked rows"""
    item_rows: FloatArray
    """[I + 1]"""
    item_bias: FloatArray
    """[I + 1] in stars"""
    item_factors: FloatArray
    """[I + 1, k]"""

    def padded(self, num_items: int) -> "Early":
        """Return the same for more items, of which the earlier rows say nothing."""
        more = num_items + 1 - len(self.item_rows)
        tables = {
            name: np.concatenate([table, np.zeros((more, *table.shape[1:]))])
            for name in ("item_rows", "item_bias", "item_factors")
            for table in [getattr(self, name)]
        }
        return replace(self, **tables)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all of it by name."""
        return {f"early.{f.name}": torch.from_numpy(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def of(cls, tensors: dict[str, torch.Tensor], num_items: int) -> "Early":
        """Take over what `tensors` returned.

        Raises
        ------
        KeyError, ValueError
            A tensor is missing, or is not of so many items.
        """
        early = cls(**{f.name: tensors[f"early.{f.name}"].numpy() for f in fields(cls)})
        sizes = {len(early.item_rows), len(early.item_bias), len(early.item_factors)}
        if sizes != {num_items + 1} or early.rows.shape != (len(early.stars), 3):
            raise ValueError(f"what the earlier rows say is not of {num_items} items")
        return early


class Folded:
    """Users by their earlier rows and those of a log that are known: biases and factors in stars.

    A row of the log without a rating counts as the mean rating of the earlier rows of its label.
    """

    def __init__(self, early: Early, log: Log, num_users: int, num_items: int) -> None:
        label_stars = early.means[1:][log.labels]
        stars = np.where(np.isnan(log.stars), label_stars, log.stars) - early.means[0]
        users, items, times = early.rows.T
        together = Log(
            user_ids=np.concatenate([users, log.user_ids]),
            item_ids=np.concatenate([items, log.item_ids]),
            labels=np.zeros(len(users) + len(log), dtype=np.int64),
            times=np.concatenate([times, log.times]),
            stars=np.concatenate([early.stars, stars]),
        )
        self.early = early
        self.rows = KnownRows(together, num_users, num_items)
        self.left = self.rows.stars - early.item_bias[self.rows.items]

    def columns(self, asked: Asked) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return each user's bias, number of rows, and agreement with the item: [Q] each."""
        starts, ends = self.rows.ranges(asked.users, asked.until)
        count = (ends - starts).astype(np.float64)
        sums = np.concatenate([[0.0], np.cumsum(self.left)])
        bias = (sums[ends] - sums[starts]) / (count + SMOOTHING)
        agreement = ridge(self.early.item_factors, self.rows, self.left, asked, PENALTY, bias)
        return bias, count, agreement


def fit_early(
    log: Log | None, num_users: int, num_items: int, config: StatisticsConfig, seed: int
) -> Early:
    """Learn from the earlier rows: ridge regressions in turn on what the biases leave.

    The stars are the ratings, or labels where there is none.

    Raises
    ------
    ConfigError
        The dataset has no earlier rows.
    """
    if log is None:
        raise ConfigError(
            "The family 'early' of the CF model 'statistics' reads rows from before train, and the "
            "dataset keeps none. Prepare it with --keep-earlier, or leave 'early' out of the "
            "option families."
        )
    rows = np.bincount(log.user_ids, minlength=num_users + 1)
    liked = np.bincount(log.user_ids, log.labels, num_users + 1) / np.maximum(rows, 1)
    bound = config.early_one_sided
    two_sided = (liked <= bound) & (liked >= 1 - bound) & (rows > 0)
    kept = two_sided[log.user_ids]
    users, items, labels = log.user_ids[kept], log.item_ids[kept], log.labels[kept]
    stars = np.where(np.isnan(log.stars), log.labels, log.stars)[kept]
    mean = float(stars.mean()) if len(stars) else 0.0
    means = [stars[labels == label].mean() if (labels == label).any() else mean for label in (0, 1)]
    user_rows = np.bincount(users, minlength=num_users + 1).astype(np.float64)
    item_rows = np.bincount(items, minlength=num_items + 1).astype(np.float64)
    item_bias = np.bincount(items, stars - mean, num_items + 1) / (item_rows + ITEM_ROWS)
    left = stars - mean - item_bias[items]
    user_bias = np.bincount(users, left, num_users + 1) / (user_rows + USER_ROWS)
    left -= user_bias[users]
    size = config.early_factors
    item_factors = 0.1 * np.random.default_rng(seed).standard_normal((num_items + 1, size))
    by_user, by_item = np.argsort(users, kind="stable"), np.argsort(items, kind="stable")
    for _ in range(SWEEPS):
        user_factors = _regressions(item_factors, items, left, users, by_user, num_users + 1)
        item_factors = _regressions(user_factors, users, left, items, by_item, num_items + 1)
    return Early(
        rows=np.stack([users, items, log.times[kept]], axis=1),
        stars=stars - mean,
        means=np.array([mean, *means]),
        item_rows=item_rows,
        item_bias=item_bias,
        item_factors=item_factors,
    )


def _regressions(
    table: FloatArray,
    features: IntArray,
    targets: FloatArray,
    ids: IntArray,
    order: IntArray,
    size: int,
) -> FloatArray:
    """Return for each id `(X'X + 12 I)^-1 X't` over its rows: [size, k].

    `X` are rows of the table, those that `features` names; `order` sorts the ids.
    """
    width = table.shape[1]
    result = np.zeros((size, width))
    first = np.searchsorted(ids[order], np.arange(size + 1))
    features, targets, penalty = features[order], targets[order], PENALTY * np.eye(width)
    for one in np.flatnonzero(np.diff(first)).tolist():
        rows = slice(first[one], first[one + 1])
        x = table[features[rows]]
        result[one] = np.linalg.solve(x.T @ x + penalty, x.T @ targets[rows])
    return result
