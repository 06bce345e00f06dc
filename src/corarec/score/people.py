"""Who asks: known users by their id, new users by what they liked, new items by their title."""

from collections.abc import Sequence
from difflib import get_close_matches
from unicodedata import normalize

import numpy as np

from corarec.data import Knowledge
from corarec.errors import DataError
from corarec.score.context import Context
from corarec.types import IntArray, Pairs


class Directory:
    """Users and items by the names that people use.

    Parameters
    ----------
    knowledge
        Its users are found by raw id, its items by raw id or exact title.
    """

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self._titles = {title: n for n, title in enumerate(knowledge.catalogue.titles) if n}

    def user(self, raw_id: str) -> int:
        """Return the id of a known user.

        Raises
        ------
        DataError
            There is none with this raw id.
        """
        users = self.knowledge.users
        number = users.number(raw_id)
        if not number and not users:
            raise DataError(
                "No user is known here: the run was packed without its users. Give liked titles, "
                "or open the run with its dataset (--data FOLDER)."
            )
        if not number:
            some = ", ".join(users.raw_ids[:3])
            raise DataError(
                f"There is no user {raw_id!r} among the {len(users)} of this dataset (ids "
                f"are those of the source, such as {some}). For a new user give liked titles."
            )
        return number

    def item(self, title: str) -> int:
        """Return the id of the item with this title.

        Raises
        ------
        DataError
            There is none; the message names titles that come close.
        """
        title = title if title in self._titles else normalize("NFC", title)
        if title not in self._titles:
            close = get_close_matches(title, self._titles, n=3, cutoff=0.5)
            hint = (
                f"Did you mean {' or '.join(map(repr, close))}?" if close else "None comes close."
            )
            raise DataError(f"No item has the title {title!r}. {hint}")
        return self._titles[title]

    def item_numbered(self, raw_id: str) -> int:
        """Return the id of an item by its raw id.

        Raises
        ------
        DataError
            There is none.
        """
        vocabulary = self.knowledge.catalogue.vocabulary
        number = vocabulary.number(raw_id)
        if not number:
            some = ", ".join(vocabulary.raw_ids[:3])
            raise DataError(
                f"There is no item {raw_id!r} among the {len(vocabulary)} of this dataset (ids are "
                f"those of the source, such as {some}). For a new item give its title."
            )
        return number

    def person(self, user: str | int | None, liked: Sequence[str]) -> Context:
        """Return what is known of a user (raw id), or of a new one who liked these titles.

        Raises
        ------
        DataError
            The user or a title is unknown, or neither or both came.
        """
        if not all(isinstance(title, str) for title in liked):
            raise DataError(f"The titles that were liked are {liked!r:.200}; wanted are texts.")
        if (user is None) == (not liked):
            raise DataError("Name either a user of the dataset or the titles that a new one liked.")
        if user is not None:
            return self.known(self.user(str(user)))
        return Context(0, np.array([self.item(title) for title in liked], dtype=np.int64))

    def thing(self, item: str | int | None, title: str | None) -> tuple[int, list[str]]:
        """Return the id of an item (raw id) or of a new one of this title, and new titles.

        Raises
        ------
        DataError
            The item is unknown, the title is empty, or neither or both came.
        """
        if (item is None) == (title is None):
            raise DataError("Name either an item of the dataset or the title of a new one.")
        if title is not None:
            return self.new_item(title)
        return self.item_numbered(str(item)), []

    def new_item(self, title: str) -> tuple[int, list[str]]:
        """Return the id of a new item, and new titles, of which its own is the only one.

        Raises
        ------
        DataError
            The title is empty.
        """
        if not isinstance(title, str) or not title.strip():
            raise DataError("The title of the new item is empty or no text: nothing to read.")
        return self.knowledge.catalogue.num_items + 1, [title]

    def pairs(self, user_ids: IntArray, item_ids: IntArray) -> Pairs:
        """Return pairs that see all that is known of each user; 0 is a new user."""
        timeline = self.knowledge.timeline
        disliked = timeline.so_far(user_ids, liked=False)
        return Pairs(user_ids, item_ids, timeline.so_far(user_ids), disliked=disliked)

    def known(self, user_id: int) -> Context:
        """Return all that is known of a user."""
        pair = self.pairs(np.array([user_id]), np.zeros(1, np.int64))
        assert pair.disliked is not None
        return Context.of(user_id, pair.histories, pair.disliked)

    def most_active(self, count: int) -> list[str]:
        """Return the raw ids of the users with the most liked items."""
        best = np.argsort(-self.knowledge.timeline.liked_counts()[1:], kind="stable")[:count]
        return self.knowledge.users.raw(best + 1)
