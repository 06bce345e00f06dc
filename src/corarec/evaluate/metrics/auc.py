"""AUC: exact, vectorised over users, ties count half.

It counts pairs of one positive and one negative row: the share of pairs in which the positive row
has the larger score, where a tie is half a pair. By ranks (Mann and Whitney 1947), with `p`
positive and `n` negative rows and mean ranks on ties:
`AUC = (sum of the positives' ranks - p (p + 1) / 2) / (p n)`.
"""

from dataclasses import dataclass

import numpy as np

from corarec.evaluate.metrics.base import Measured, Metric, MetricRows, ratio
from corarec.types import FloatArray, IntArray


@dataclass(frozen=True)
class UserAucs:
    """The AUC of every user who has both labels."""

    user_ids: IntArray
    """[M] users with both labels, ascending."""
    values: FloatArray
    """[M] their AUCs."""

    @property
    def mean(self) -> float | None:
        """UAUC: the plain mean over users; None where no user has both labels."""
        return float(self.values.mean()) if len(self.values) else None


def user_aucs(user_ids: IntArray, labels: IntArray, scores: FloatArray) -> UserAucs:
    """Compute the AUC of every user with both labels, without a loop over users.

    Parameters
    ----------
    user_ids, labels, scores
        Three of [N], in any order of rows; labels are 0 or 1.
    """
    if not len(user_ids):
        return UserAucs(np.zeros(0, np.int64), np.zeros(0))
    order = np.lexsort((scores, user_ids))
    users, labels, scores = user_ids[order], labels[order], scores[order]
    new_user = np.concatenate(([True], users[1:] != users[:-1]))
    new_value = new_user | np.concatenate(([True], scores[1:] != scores[:-1]))
    user_start = np.flatnonzero(new_user)
    user_of_row = np.cumsum(new_user) - 1
    tie_start = np.flatnonzero(new_value)
    tie_end = np.append(tie_start[1:], len(users))
    mean_rank = ((tie_start + 1 + tie_end) / 2)[np.cumsum(new_value) - 1] - user_start[user_of_row]

    positives = np.bincount(user_of_row, weights=labels)
    negatives = np.bincount(user_of_row) - positives
    rank_sum = np.bincount(user_of_row, weights=mean_rank * labels)
    both = (positives > 0) & (negatives > 0)
    p, n = positives[both], negatives[both]
    values = (rank_sum[both] - p * (p + 1) / 2) / (p * n)
    return UserAucs(users[user_start][both], values)


def auc(labels: IntArray, scores: FloatArray) -> float | None:
    """Compute the AUC over all rows; None where only one label occurs (it has no value then)."""
    return user_aucs(np.zeros(len(labels), np.int64), labels, scores).mean


class Auc(Metric):
    """The AUC over all rows."""

    key = "auc"
    title = "AUC"
    chance = 0.5
    needs_both_labels = True

    def of(self, rows: MetricRows) -> Measured:
        """Measure rows; without both labels there is no value."""
        return _Auc(rows)


class _Auc(Measured):
    """Sorts once; every draw only adds."""

    def __init__(self, rows: MetricRows) -> None:
        user_codes, labels, scores = rows.users, rows.labels, rows.scores
        self.value = auc(labels, scores)
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

    def drawn(self, counts: FloatArray) -> FloatArray:
        """Return the AUC over the drawn rows: [D], NaN where a draw has one label only."""
        cumulative = np.zeros((len(self._negative_users) + 1, counts.shape[1]))
        np.cumsum(counts[self._negative_users], axis=0, out=cumulative[1:])
        weights = counts[self._positive_users]
        pairs = cumulative[self._below]
        pairs[self._tied] += cumulative[self._not_above[self._tied]]
        pairs[self._tied] /= 2
        won = np.einsum("nd,nd->d", weights, pairs)
        return ratio(won, weights.sum(axis=0) * cumulative[-1])
