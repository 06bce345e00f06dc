"""How models of one vector per user and item are trained."""

import math

from pydantic import Field

from corarec.cf.training.pointwise import PointwiseConfig


class FactorsConfig(PointwiseConfig):
    """A fit in which every step moves all vectors, so that an epoch costs steps times vectors."""

    most_steps: int = Field(default=512, gt=0)
    """Steps of an epoch at most: with more rows than these take, a step takes more of them."""

    def rows_of_step(self, rows: int) -> int:
        """Return how many of so many training rows a step takes."""
        return max(self.batch_size, math.ceil(rows / self.most_steps))
