"""What is known of a user, and when: the one place that cuts a user's past off at a moment."""

import numpy as np

from corarec.types import Histories, IntArray


class Timeline:
    """What every user did, one row after the other.

    Parameters
    ----------
    user_ids
        [N] ascending
    item_ids
        [N]
    labels
        [N] 0 or 1, in time order inside each user
    num_users
        `U`, the largest user id
    """

    def __init__(
        self, user_ids: IntArray, item_ids: IntArray, labels: IntArray, num_users: int
    ) -> None:
        self.user_ids = user_ids
        self.item_ids = item_ids
        self.labels = labels
        self._liked_items = item_ids[labels == 1]
        self._liked_before = np.concatenate([np.zeros(1, np.int64), np.cumsum(labels)])
        self._first_row = np.searchsorted(user_ids, np.arange(num_users + 2))

    def before_rows(self, rows: IntArray) -> Histories:
        """Return the liked items that the user of each row had before it, across split borders.

        A row never sees itself.
        """
        first = self._first_row[self.user_ids[rows]]
        return self._between(first, rows)

    def so_far(self, user_ids: IntArray) -> Histories:
        """Return all that each user liked; nothing of user 0, whom nobody knows."""
        first, end = self._first_row[user_ids], self._first_row[user_ids + 1]
        return self._between(first, np.where(user_ids > 0, end, first))

    def liked(self, user_id: int) -> IntArray:
        """Return all that a user liked, oldest first."""
        return self.so_far(np.array([user_id]))[0]

    def seen(self, user_id: int) -> IntArray:
        """Return the items that a user had anything to do with, each once, ascending."""
        rows = slice(self._first_row[user_id], self._first_row[user_id + 1])
        return np.unique(self.item_ids[rows])

    def liked_counts(self) -> IntArray:
        """Return how many items each user liked, by user id: [U + 1]."""
        return np.diff(self._liked_before[self._first_row])

    def _between(self, first_rows: IntArray, end_rows: IntArray) -> Histories:
        return Histories(
            self._liked_items, self._liked_before[first_rows], self._liked_before[end_rows]
        )
