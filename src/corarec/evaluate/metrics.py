"""AUC and UAUC: exact, vectorised over users, ties count half.

Both count pairs of one positive and one negative row: the share of pairs in which the positive row
has the larger score, where a tie is half a pair. By ranks (Mann and Whitney 1947), with `p`
positive and `n` negative rows and mean ranks on ties:
`AUC = (sum of the positives' ranks - p (p + 1) / 2) / (p n)`.
"""

from dataclasses import dataclass

import numpy as np

from corarec.errors import DataError
from corarec.types import FloatArray, IntArray, ScoreTable


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


def check_table(table: ScoreTable, name: str = "the score table") -> None:
    """Make sure that every label is 0 or 1 and every score is a finite number.

    Raises
    ------
    DataError
        Naming how many rows are wrong and the first of them (rows count from 0).
    """
    wrong_labels = np.flatnonzero((table.labels != 0) & (table.labels != 1))
    if len(wrong_labels):
        row = wrong_labels[0]
        raise DataError(
            f"{len(wrong_labels)} of {len(table)} labels in {name} are not 0 or 1; the first is "
            f"row {row} with {table.labels[row]}. Make labels from ratings with a threshold first."
        )
    wrong_scores = np.flatnonzero(~np.isfinite(table.scores))
    if len(wrong_scores):
        row = wrong_scores[0]
        raise DataError(
            f"{len(wrong_scores)} of {len(table)} scores in {name} are not finite numbers; the "
            f"first is row {row} (user {table.user_ids[row]}, item {table.item_ids[row]}) with "
            f"{table.scores[row]}. Metrics never repair scores: look at the model that made them."
        )


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


def uauc(user_ids: IntArray, labels: IntArray, scores: FloatArray) -> float | None:
    """Compute the plain mean of AUC over users with both labels; None where there are none."""
    return user_aucs(user_ids, labels, scores).mean
