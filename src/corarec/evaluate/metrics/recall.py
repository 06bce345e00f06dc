"""Recall@K: `h / n`, with `n` relevant items of a user, of which `h` have a rank of at most K."""

from corarec.evaluate.metrics.ranking import CutoffMetric, RelevantRanks
from corarec.types import FloatArray


class Recall(CutoffMetric):
    """The share of a user's relevant items that are among the first K."""

    key = "recall"
    title = "Recall"

    def of(self, found: RelevantRanks) -> FloatArray:
        """Return `h / n` of every user: [U]."""
        return found.hits(self.cutoff) / found.relevant
