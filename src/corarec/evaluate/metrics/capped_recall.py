"""Capped Recall@K: `h / min(K, n)`, as CLLM4Rec counts (arXiv 2311.01343)."""

from corarec.evaluate.metrics.ranking import CutoffMetric, RelevantRanks
from corarec.types import FloatArray


class CappedRecall(CutoffMetric):
    """Recall, of as many relevant items as K places can hold."""

    key = "capped_recall"
    title = "capped Recall"

    def of(self, found: RelevantRanks) -> FloatArray:
        """Return `h / min(K, n)` of every user: [U]."""
        return found.hits(self.cutoff) / found.reachable(self.cutoff)
