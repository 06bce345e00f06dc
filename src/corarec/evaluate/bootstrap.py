"""Percentile bootstrap over users, for one system or several on the same rows.

Rows of one user are not independent, so whole users are drawn with replacement (a cluster
bootstrap). A draw is a count per user; every statistic is computed under these counts as weights,
so rows are sorted once and never copied.
"""

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from corarec.types import Config, FloatArray

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
