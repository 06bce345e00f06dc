"""Percentile bootstrap over users, for one system or several on the same rows.

Rows of one user are not independent, so whole users are drawn with replacement (a cluster
bootstrap). A draw is a count per user; every statistic is computed under these counts as weights,
so rows are sorted once and never copied.
"""

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from corarec.evaluate.metrics import user_aucs
from corarec.types import Config, FloatArray, IntArray

_BYTES_PER_CHUNK = 16 * 2**20


class BootstrapConfig(Config):
    """How intervals are made."""

    draws: int = Field(default=1000, ge=1)
    """Number of bootstrap draws."""
    level: float = Field(default=0.95, gt=0, lt=1)
    """Share of draws inside an interval."""
    seed: int = Field(default=0, ge=0)
    """Seed of the draws; the same seed and rows give the same users in every draw."""


class UserBootstrap:
    """Draw users with replacement."""

    def __init__(self, config: BootstrapConfig, num_users: int, num_rows: int) -> None:
        self.config = config
        self.num_users = num_users
        self._draws_per_chunk = max(1, _BYTES_PER_CHUNK // (8 * max(num_users, num_rows, 1)))

    def counts(self) -> Iterator[FloatArray]:
        """Yield how often each user was drawn: chunks of [users, draws of the chunk].

        The stream of random numbers goes draw by draw, so chunk sizes do not change a draw.
        """
        generator = np.random.default_rng(self.config.seed)
        remaining = self.config.draws
        while remaining:
            size = min(remaining, self._draws_per_chunk)
            chunk = np.empty((self.num_users, size))
            for draw in range(size):
                users = generator.integers(0, self.num_users, size=self.num_users)
                chunk[:, draw] = np.bincount(users, minlength=self.num_users)
            yield chunk
            remaining -= size

    def interval(self, values: FloatArray) -> tuple[float, float] | None:
        """Return the percentile interval of a statistic.

        Parameters
        ----------
        values
            [draws]; NaN where a draw did not define the statistic. Such draws are left out.
        """
        defined = values[~np.isnan(values)]
        if not len(defined):
            return None
        tail = (1 - self.config.level) / 2
        low, high = np.quantile(defined, [tail, 1 - tail])
        return float(low), float(high)


class WeightedMetrics:
    """AUC and UAUC of one table of scores under user weights; sorts once, then only adds.

    Parameters
    ----------
    user_codes
        [N] users numbered 0..U-1.
    labels, scores
        Two of [N].
    """

    def __init__(self, user_codes: IntArray, labels: IntArray, scores: FloatArray) -> None:
        positive = labels == 1
        negative_order = np.argsort(scores[~positive], kind="stable")
        self._negative_users = user_codes[~positive][negative_order]
        negative_scores = scores[~positive][negative_order]
        # Positives in score order read the cumulative weights of the negatives front to back.
        positive_order = np.argsort(scores[positive], kind="stable")
        self._positive_users = user_codes[positive][positive_order]
        positive_scores = scores[positive][positive_order]
        self._below = np.searchsorted(negative_scores, positive_scores, side="left")
        self._not_above = np.searchsorted(negative_scores, positive_scores, side="right")
        self._tied = np.flatnonzero(self._below != self._not_above)
        self._user_aucs = user_aucs(user_codes, labels, scores)

    def auc(self, counts: FloatArray) -> FloatArray:
        """Return the AUC over all rows, each row as often as its user was drawn.

        Parameters
        ----------
        counts
            [U, D]

        Returns
        -------
        [D], NaN where a draw has one label only.
        """
        cumulative = np.zeros((len(self._negative_users) + 1, counts.shape[1]))
        np.cumsum(counts[self._negative_users], axis=0, out=cumulative[1:])
        weights = counts[self._positive_users]
        pairs = cumulative[self._below]
        pairs[self._tied] += cumulative[self._not_above[self._tied]]
        pairs[self._tied] /= 2
        won = np.einsum("nd,nd->d", weights, pairs)
        return _ratio(won, weights.sum(axis=0) * cumulative[-1])

    def uauc(self, counts: FloatArray) -> FloatArray:
        """Return the mean AUC over the drawn users with both labels: [D], NaN where none is drawn.

        Parameters
        ----------
        counts
            [U, D]
        """
        drawn = counts[self._user_aucs.user_ids]
        return _ratio(self._user_aucs.values @ drawn, drawn.sum(axis=0))


def _ratio(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    undefined = np.full_like(numerator, np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)
