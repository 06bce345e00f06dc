"""HR@K: whether a relevant item is among the first K."""

import numpy as np

from corarec.evaluate.metrics.ranking import CutoffMetric, RelevantRanks
from corarec.types import FloatArray


class HitRate(CutoffMetric):
    """The share of users with a relevant item among the first K."""

    key = "hr"
    title = "HR"

    def of(self, found: RelevantRanks) -> FloatArray:
        """Return 1 for every user with a hit, else 0: [U]."""
        return (found.hits(self.cutoff) > 0).astype(np.float64)
