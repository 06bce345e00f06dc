"""What is known of a user, and when: the one place that cuts the past off at a moment."""

from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, model_validator

from corarec.arrays import distinct
from corarec.types import BoolArray, Config, FloatArray, Histories, IntArray

NEVER_OVER = np.iinfo(np.int64).max
"""The end of time."""
DAY = 86_400


class KnowledgePolicy(Config):
    """Which labels a row may see; the name of the policy alone stands for the defaults."""

    policy: Literal["train", "snapshot", "streaming"] = "train"
    """`train`: every training label, as the published protocols have it (a CF model may leave a
    row's own out). `snapshot`: a training row sees the training labels of earlier periods, all
    other rows see every training label: the situation of a system that is fitted anew once a
    period. `streaming`: every row sees the labels of all rows with an earlier time, whatever their
    part; rows of one second do not see each other. With the first two, histories are the items that
    the user liked in earlier rows; with `streaming`, in earlier seconds."""
    period: Literal["month"] | Annotated[int, Field(gt=0, le=36_500)] = "month"
    """Of `snapshot`: calendar months (UTC), or so many days, counted from 1970."""

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, values: Any) -> Any:
        return {"policy": values} if isinstance(values, str) else values

    def words(self) -> str:
        """Return it in words."""
        if self.policy != "snapshot":
            return self.policy
        return f"snapshot of each {'month' if self.period == 'month' else f'{self.period} days'}"

    def period_start(self, times: IntArray) -> IntArray:
        """Return the first second of the period of each time: [N]."""
        if self.period == "month":
            months = times.astype("datetime64[s]").astype("datetime64[M]")
            return months.astype("datetime64[s]").astype(np.int64)
        seconds = DAY * self.period
        return times // seconds * seconds

    def known_until(self, times: IntArray, in_train: np.ndarray) -> IntArray | None:
        """Return before which second labels are known to rows: [N]; None where all may be.

        `times: [N]`, `in_train: [N]`: which of them are training rows.
        """
        if self.policy == "train":
            return None
        if self.policy == "streaming":
            return times
        return np.where(in_train, self.period_start(times), NEVER_OVER)

    def to_learn_from(self, train_times: IntArray) -> np.ndarray:
        """Return which training rows may be learned from: [N].

        With `snapshot` those of the first period, to which nothing is known, may not.
        """
        if self.policy != "snapshot" or not len(train_times):
            return np.ones(len(train_times), dtype=np.bool_)
        starts = self.period_start(train_times)
        return np.asarray(starts > starts.min())


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
    times
        [N] UTC seconds, ascending inside each user; None where only the order is known
    hidden
        [N] rows that no other row's history shows; None: there are none
    stars
        [N] ratings, NaN for none; None where they are not known
    met
        [N] rows that happened, where others were drawn as negatives; None: all did
    """

    def __init__(
        self,
        user_ids: IntArray,
        item_ids: IntArray,
        labels: IntArray,
        num_users: int,
        times: IntArray | None = None,
        hidden: np.ndarray | None = None,
        stars: FloatArray | None = None,
        met: BoolArray | None = None,
    ) -> None:
        self.user_ids = user_ids
        self.item_ids = item_ids
        self.labels = labels
        self.times = times
        self.stars = stars
        self.met = met
        labelled = {True: labels == 1, False: labels == 0}
        self._all = {liked: _Rows.of(item_ids, stars, rows) for liked, rows in labelled.items()}
        self._shown = self._all
        if hidden is not None and hidden.any():
            self._shown = {
                liked: _Rows.of(item_ids, stars, rows & ~hidden) for liked, rows in labelled.items()
            }
        self._first_row = np.searchsorted(user_ids, np.arange(num_users + 2))

    def before_rows(
        self, rows: IntArray, *, liked: bool = True, earlier_seconds: bool = False
    ) -> Histories:
        """Return the liked items that the user of each row had before it, across split borders.

        A row never sees itself; with `earlier_seconds` no row of its own second either. Without
        `liked`, the items that the user did not like.
        """
        first = self._first_row[self.user_ids[rows]]
        end = self._second_starts[rows] if earlier_seconds else rows
        return self._shown[liked].between(first, end)

    @property
    def _second_starts(self) -> IntArray:
        """The first row of each row's user and second: [N]."""
        assert self.times is not None, "a timeline without times cannot tell seconds apart"
        begins = np.ones(len(self.times), dtype=np.bool_)
        begins[1:] = (np.diff(self.times) != 0) | (np.diff(self.user_ids) != 0)
        return np.maximum.accumulate(np.where(begins, np.arange(len(begins)), 0))

    def so_far(self, user_ids: IntArray, *, liked: bool = True) -> Histories:
        """Return all that each user liked, or did not; nothing of user 0, whom nobody knows."""
        first, end = self._first_row[user_ids], self._first_row[user_ids + 1]
        return self._all[liked].between(first, np.where(user_ids > 0, end, first))

    def liked(self, user_id: int) -> IntArray:
        """Return all that a user liked, oldest first."""
        return self.so_far(np.array([user_id]))[0]

    def seen(self, user_id: int) -> IntArray:
        """Return the items that a user had anything to do with, each once, ascending.

        Not what was drawn as a negative: nobody met it.
        """
        rows = slice(self._first_row[user_id], self._first_row[user_id + 1])
        items = self.item_ids[rows]
        return distinct(items if self.met is None else items[self.met[rows]])

    def liked_counts(self) -> IntArray:
        """Return how many items each user liked, by user id: [U + 1]."""
        return np.diff(self._all[True].before[self._first_row])


class _Rows(NamedTuple):
    """Some rows among all."""

    items: IntArray
    """[P]"""
    stars: FloatArray | None
    """[P]"""
    before: IntArray
    """[N + 1] how many of them stand before each row"""

    @classmethod
    def of(cls, item_ids: IntArray, stars: FloatArray | None, chosen: np.ndarray) -> "_Rows":
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(chosen, dtype=np.int64)])
        return cls(item_ids[chosen], None if stars is None else stars[chosen], before)

    def between(self, first_rows: IntArray, end_rows: IntArray) -> Histories:
        return Histories(self.items, self.before[first_rows], self.before[end_rows], self.stars)
