"""Who asks: known users by their id, new users by what they liked, new items by their title."""

from collections.abc import Sequence
from difflib import get_close_matches

import numpy as np

from corarec.data import Dataset
from corarec.errors import DataError
from corarec.types import Histories, IntArray, Pairs


class Directory:
    """Users and items of a dataset by the names that people use.

    Parameters
    ----------
    dataset
        Its users are found by raw id, its items by raw id or exact title.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        ids = np.arange(1, dataset.num_items + 1)
        self._users = {raw: n for n, raw in enumerate(dataset.users["raw_id"].to_list(), start=1)}
        self._items = dict(zip(dataset.items["raw_id"].to_list(), ids.tolist(), strict=True))
        self._titles = {title: n for n, title in enumerate(dataset.titles) if n}
        self._positives_end = _ends_per_user(dataset)

    def user(self, raw_id: str) -> int:
        """Return the id of a known user.

        Raises
        ------
        DataError
            There is none with this raw id.
        """
        if raw_id not in self._users:
            some = ", ".join(list(self._users)[:3])
            raise DataError(
                f"There is no user {raw_id!r} among the {len(self._users)} of this dataset (ids "
                f"are those of the source, such as {some}). For a new user give liked titles."
            )
        return self._users[raw_id]

    def item(self, title: str) -> int:
        """Return the id of the item with this title.

        Raises
        ------
        DataError
            There is none; the message names titles that come close.
        """
        if title not in self._titles:
            close = get_close_matches(title, self._titles, n=3, cutoff=0.5)
            hint = (
                f"Did you mean {' or '.join(map(repr, close))}?" if close else "None comes close."
            )
            raise DataError(f"No item has the title {title!r}. {hint}")
        return self._titles[title]

    def user_ids(self, raw_ids: Sequence[str]) -> IntArray:
        """Return ids, 0 for users that the dataset does not have: [N]."""
        return np.array([self._users.get(raw, 0) for raw in raw_ids], dtype=np.int64)

    def item_ids(self, raw_ids: Sequence[str]) -> IntArray:
        """Return ids, 0 for items that the dataset does not have: [N]."""
        return np.array([self._items.get(raw, 0) for raw in raw_ids], dtype=np.int64)

    def pairs(self, user_ids: IntArray, item_ids: IntArray) -> Pairs:
        """Return pairs that see all that the dataset knows of each user; 0 is a new user."""
        start, end = self._positives_end[user_ids], self._positives_end[user_ids + 1]
        known = user_ids > 0
        histories = Histories(
            self.dataset.histories.liked_items, np.where(known, start, 0), np.where(known, end, 0)
        )
        return Pairs(user_ids, item_ids, histories)

    def pairs_of_new_user(self, liked: IntArray, item_ids: IntArray) -> Pairs:
        """Return pairs of somebody of whom only liked items are known, oldest first."""
        count = len(item_ids)
        histories = Histories(liked, np.zeros(count, np.int64), np.full(count, len(liked)))
        return Pairs(np.zeros(count, np.int64), item_ids, histories)

    def liked(self, user_id: int) -> IntArray:
        """Return all that a user liked, oldest first."""
        start, end = self._positives_end[user_id], self._positives_end[user_id + 1]
        return self.dataset.histories.liked_items[start:end]

    def most_active(self, count: int) -> list[str]:
        """Return the raw ids of the users with the most liked items."""
        counts = np.diff(self._positives_end)[1:]
        best = np.argsort(-counts, kind="stable")[:count]
        return [str(self.dataset.users["raw_id"][int(user)]) for user in best]

    def seen(self, user_id: int) -> IntArray:
        """Return the items that a user has any interaction with."""
        rows = self.dataset.interactions["user_id"].to_numpy() == user_id
        return np.unique(self.dataset.interactions["item_id"].to_numpy()[rows])


def _ends_per_user(dataset: Dataset) -> IntArray:
    """Return [U + 2]: user `u` has the liked items from position `[u]` to position `[u + 1]`."""
    users = dataset.interactions["user_id"].to_numpy()
    liked = dataset.interactions["label"].to_numpy()
    counts = np.bincount(users, weights=liked, minlength=dataset.num_users + 1).astype(np.int64)
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
