"""People and pairs as a scorer is asked about them."""

from collections.abc import Sequence

import numpy as np

from corarec.data.history import NEVER_OVER
from corarec.errors import DataError
from corarec.runs.live.checks import checked_name, checked_time
from corarec.runs.live.memory import LiveMemory
from corarec.runs.live.types import ASKED, Event, Known
from corarec.score.context import Context
from corarec.types import BoolArray, FloatArray, Histories, IntArray, Pairs


class LivePairs(LiveMemory):
    """Knows who asks about what: users and pairs, with all that is known of them."""

    def known(self, user: str) -> Known:
        """Return all that is known of a user.

        Raises
        ------
        DataError
            Nobody knows the user.
        """
        number = self._user(user)
        place, line = self._people.of_dataset(number), self.knowledge.timeline
        events = [
            Event(
                self._items.raw(item),
                self._items.title(item),
                "like" if label else "dislike",
                None if line.times is None else int(line.times[row]),
                None if line.stars is None or np.isnan(line.stars[row]) else float(line.stars[row]),
                live=False,
            )
            for row, item, label in zip(
                range(place.start, place.stop),
                line.item_ids[place].tolist(),
                line.labels[place].tolist(),
                strict=True,
            )
            if self._people.is_known(row)
        ]
        events += [
            Event(
                self._items.raw(told.item),
                self._items.title(told.item),
                told.kind,
                told.time,
                told.stars,
                live=True,
            )
            for told in self._people.told(number)
        ]
        events.sort(key=lambda event: event.time or 0)
        cold = bool(self._cold(self.join([(self._people.context(number), np.array([0]))]))[0][0])
        return Known(user, place.stop > place.start, cold, events[::-1])

    def example_users(self, count: int = 10) -> list[str]:
        """Return users of the dataset, those who liked most."""
        found = self.run.directory.most_active(count)
        return [user for user in found if self._people.number(user)]

    def search_users(self, query: str, count: int = 10) -> list[str]:
        """Return users whose ids begin with a text, then those whose ids hold it."""
        if not isinstance(query, str) or len(query) > 200:
            raise DataError("The query is no text of at most 200 characters.")
        if not query:
            return self.example_users(count)
        there = [*self._people.told_names(), *self.knowledge.users.raw_ids]
        found = [user for user in dict.fromkeys(there) if query in user]
        found.sort(key=lambda user: (not user.startswith(query), len(user), user))
        return [user for user in found if self._people.number(user)][:count]

    def context(
        self,
        user: str | None = None,
        *,
        liked: Sequence[str] = (),
        disliked: Sequence[str] = (),
        time: int | None = None,
    ) -> Context:
        """Return what is known of a user, or of somebody who likes and dislikes these items.

        Items go by id or exact title. A user whom nobody knows is a stranger: nothing is known.

        Raises
        ------
        DataError
            Nobody knows an item, or both a user and items came.
        """
        if user is None:
            if isinstance(liked, str) or isinstance(disliked, str):
                raise DataError("A text came where a list of items is wanted.")
            likes = list(dict.fromkeys(map(self._items.named, liked)))
            dislikes = [item for item in map(self._items.named, disliked) if item not in likes]
            return self._people.somebody(likes, list(dict.fromkeys(dislikes)))
        if liked or disliked:
            raise DataError("Name either a user or what somebody new likes, not both.")
        return self._people.context(
            self._people.number(checked_name(user, "user")), self._moment(time)
        )

    def join(self, parts: Sequence[tuple[Context, IntArray]], *, time: int | None = None) -> Pairs:
        """Return the pairs of several people and items each, one after the other: [N]."""
        counts = [len(items) for _, items in parts]
        owners = np.repeat(np.arange(len(parts)), counts)
        users = np.array([context.user_id for context, _ in parts], dtype=np.int64)
        total = len(owners)
        moment = None if time is None else np.full(total, checked_time(time))
        return Pairs(
            users[owners],
            np.concatenate([np.zeros(0, np.int64), *(items for _, items in parts)]),
            _histories([(context.liked, context.liked_stars) for context, _ in parts], owners),
            times=moment,
            known_until=moment if self._policy == "streaming" else None,
            disliked=_histories(
                [(context.disliked, context.disliked_stars) for context, _ in parts], owners
            ),
        )

    def check_pair(self, user: str, item: str | tuple[str, str]) -> None:
        """See that a pair can be scored.

        Raises
        ------
        DataError
            It cannot.
        """
        self._user(user)
        self._asked_item(item)

    def _moment(self, time: int | None) -> int:
        if time is None:
            return NEVER_OVER
        return checked_time(time) + (self._policy != "streaming")

    def _user(self, user: str) -> int:
        number = self._people.number(checked_name(user, "user"))
        if not number:
            raise DataError(
                f"Nobody knows the user {user!r:.80}. Record something that the user likes first, "
                "or name what somebody new likes."
            )
        return number

    def _numbers(self, items: Sequence[str]) -> set[int]:
        if isinstance(items, str):
            raise DataError("A text came where a list of items is wanted.")
        return {self._items.number(item, removed=True) for item in items}

    def _asked_item(self, item: str | tuple[str, str]) -> int:
        if isinstance(item, tuple):
            if len(item) != 2 or item[0] != "title":
                raise DataError(f"The item is {item!r:.60}; wanted is an id or ('title', a title).")
            checked_name(item[1], "title", self._limits.title_chars)
            return 0
        return self._items.number(item)

    def _asked(self, pairs: Sequence[ASKED], time: int | None) -> tuple[Pairs, Sequence[str]]:
        own: list[str] = []
        parts = []
        for user, item in pairs:
            number = self._asked_item(item)
            if isinstance(item, tuple):
                number = self.first_free + len(own)
                own.append(item[1])
            context = self._people.context(self._user(user), self._moment(time))
            parts.append((context, np.array([number])))
        asked = self.join(parts, time=time)
        return asked, self._titles(asked, own)

    def _titles(self, pairs: Pairs, own: Sequence[str]) -> Sequence[str]:
        """Return the titles beyond the catalogue, none where no pair has to do with one."""
        histories = pairs.histories, pairs.disliked
        shown = [h.liked_items for h in histories if h is not None]
        largest = max(int(ids.max(initial=0)) for ids in (pairs.item_ids, *shown))
        return [*self._items.new_titles, *own] if largest > self._items.known else ()

    def _cold(self, pairs: Pairs) -> tuple[BoolArray, BoolArray]:
        """Return of which users, and of which items, CF knows nothing: [N] each."""
        if self.run.cf is None:
            none = np.zeros(len(pairs), dtype=np.bool_)
            return none, none
        table = self.run.cf.vector_table(pairs)
        users, items = (half.any(dim=1).numpy() for half in (table.users, table.items))
        return ~users[table.user_rows], ~items[table.item_rows]


def _histories(lists: Sequence[tuple[IntArray, FloatArray | None]], owners: IntArray) -> Histories:
    """Return for each pair the items and stars of its owner, each list kept once."""
    ends = np.cumsum([len(items) for items, _ in lists], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), ends])[: len(lists)]
    all_items = np.concatenate([np.zeros(0, np.int64), *(items for items, _ in lists)])
    all_stars = [np.full(len(items), np.nan) if s is None else s for items, s in lists]
    stars = np.concatenate([np.zeros(0), *all_stars])
    return Histories(all_items, starts[owners], ends[owners], stars)
