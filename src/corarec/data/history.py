"""Histories: which liked items a user had before each row."""

import numpy as np

from corarec.types import Histories, IntArray


def build_histories(user_ids: IntArray, item_ids: IntArray, labels: IntArray) -> Histories:
    """Point each row at the positives that its user had in earlier rows.

    Parameters
    ----------
    user_ids
        [N] ascending
    item_ids
        [N]
    labels
        [N] 0 or 1, in time order inside each user

    Returns
    -------
    Histories
        Row `n` sees the earlier positives of its user, oldest first, across split borders. A row
        never sees itself.
    """
    positives_before = np.cumsum(labels) - labels
    is_first_of_user = np.ones(len(user_ids), dtype=bool)
    is_first_of_user[1:] = user_ids[1:] != user_ids[:-1]
    first_row = np.maximum.accumulate(np.where(is_first_of_user, np.arange(len(user_ids)), 0))
    return Histories(
        liked_items=item_ids[labels == 1],
        start=positives_before[first_row].astype(np.int64),
        end=positives_before.astype(np.int64),
    )
