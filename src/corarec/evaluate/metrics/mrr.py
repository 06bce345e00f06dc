"""MRR: one over the smallest rank of a relevant item, without a cutoff."""

import numpy as np

from corarec.evaluate.metrics.ranking import RankingMetric, RelevantRanks
from corarec.types import FloatArray


class Mrr(RankingMetric):
    """The mean reciprocal rank of the first relevant item."""

    key = "mrr"
    title = "MRR"

    def of(self, found: RelevantRanks) -> FloatArray:
        """Return one over the smallest rank of every user: [U]."""
        first = np.full(len(found.relevant), np.iinfo(np.int64).max)
        np.minimum.at(first, found.users, found.ranks)
        return np.asarray(1 / first)
