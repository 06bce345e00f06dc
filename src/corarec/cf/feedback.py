"""What became known of users after a fit, and the rows of a table that stand in place of others."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np

from corarec.types import PADDING_ID, BoolArray, IntArray, Log

Takes = Literal["rows", "history", "nothing"]
"""How a fitted CF model takes feedback: it folds the rows of users in; it reads what they liked
from the history of every pair, so that nothing needs to be done; or it cannot."""
TAKES: tuple[Takes, ...] = ("rows", "history", "nothing")
WORDS: dict[Takes, str] = {
    "rows": "folds what people like and dislike into their vectors",
    "history": "reads what people liked from the history of each pair",
    "nothing": "cannot take feedback: the prompt alone knows it",
}


@dataclass(frozen=True)
class Feedback:
    """All that is known of some users, what came after the fit included."""

    users: IntArray
    """[R] whose, ascending; numbers beyond those of the fit are new users"""
    rows: Log
    """[M] all of their rows with known items, by user, then time"""
    fitted: BoolArray
    """[M] which of the rows took part in the fit"""
    current: BoolArray
    """[M] which of them still hold; somebody thought better of the others"""
    popularity: IntArray
    """[I + 1] how many rows of the fit like each item"""
    num_users: int = 0
    """The largest number of a user that has rows in the log of the pairs."""

    @property
    def new(self) -> BoolArray:
        """Which of the rows hold and took no part in the fit: [M]."""
        return self.current & ~self.fitted

    @property
    def gone(self) -> BoolArray:
        """Which of the rows took part in the fit and do not hold any more: [M]."""
        return self.fitted & ~self.current

    def ranges(self) -> list[slice]:
        """Return the places of each user's rows: [R]."""
        first = np.searchsorted(self.rows.user_ids, self.users, side="left")
        last = np.searchsorted(self.rows.user_ids, self.users, side="right")
        return [slice(*ends) for ends in zip(first.tolist(), last.tolist(), strict=True)]


class LiveFeedback(Protocol):
    """What a service knows, as CF vectors need it."""

    def changed(self, user_ids: IntArray) -> IntArray:
        """Return which of the users, each once, have rows that took no part in the fit: [R]."""

    def versions(self, user_ids: IntArray) -> IntArray:
        """Return a number for each user that changes with what is known of that user: [R]."""

    def feedback(self, user_ids: IntArray) -> Feedback:
        """Return all that is known of the users (ascending)."""

    def log(self) -> Log | None:
        """Return all rows of all users, where a row may know them (`streaming`)."""

    @property
    def now(self) -> int:
        """The second after all that is known."""


@dataclass(frozen=True)
class Overlay:
    """Rows of a table by id that stand in place of its own, or beyond its end."""

    ids: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    """[R] ascending"""

    def places(self, ids: IntArray, size: int) -> IntArray:
        """Return where each id stands in a table of `size` rows with the overlay after it: [N].

        Ids that neither has are unknown. All ids count from 0.
        """
        known = np.where(ids < size, ids, PADDING_ID)
        if not len(self.ids):
            return known
        found = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[found] == ids, size + found, known)
