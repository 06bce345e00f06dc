"""NDCG@K: a relevant item of rank `r` gains `1 / log2(r + 1)`, one behind the first K nothing."""

import numpy as np

from corarec.evaluate.metrics.ranking import CutoffMetric, RelevantRanks
from corarec.types import FloatArray, IntArray


class Ndcg(CutoffMetric):
    """The gain of a ranking, divided by that of the best ranking."""

    key = "ndcg"
    title = "NDCG"

    def of(self, found: RelevantRanks) -> FloatArray:
        """Return the share of the best gain of every user: [U]."""
        gained = found.summed(_gains(found.ranks) * (found.ranks <= self.cutoff))
        positions = np.arange(1, found.relevant.max(initial=0) + 1)
        best = np.concatenate([[0.0], np.cumsum(_gains(positions))])
        return gained / best[found.reachable(self.cutoff)]


def _gains(ranks: IntArray) -> FloatArray:
    return np.asarray(1 / np.log2(ranks + 1))
