"""`LiveRun`: a trained run that learns what people like while it is in use."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self
from weakref import finalize

import numpy as np
from scipy.special import expit

from corarec.backbone.compiling import uncompiled
from corarec.cf.feedback import WORDS
from corarec.cf.fit import seen_rows
from corarec.data import Dataset, Knowledge
from corarec.data.history import NEVER_OVER
from corarec.errors import DataError
from corarec.runs.live_items import Filters, Hit, Item, Items
from corarec.runs.live_people import Kind, Limits, People, Told, checked_name, checked_time
from corarec.runs.refresh import Refresh, newest_refresh, open_refresh
from corarec.runs.run import Run, load_run
from corarec.score.candidates import Candidates, candidates, worth
from corarec.score.context import Context
from corarec.score.explain import Explanation, explain
from corarec.score.likeness import Likeness, arranged
from corarec.score.scorer import Scorer
from corarec.types import BoolArray, FloatArray, Histories, IntArray, Pairs

LETTERS_PER_TOKEN = 3
NEWEST = "newest"
"""The refresh that is in use."""
NO_FILTERS, LIMITS = Filters(), Limits()
ASKED = tuple[str, str] | tuple[str, tuple[str, str]]
"""A user, and an item or ("title", the title of one that is not added)."""


@dataclass(frozen=True)
class Event:
    """Something known of a user."""

    item: str | None
    title: str
    kind: Kind
    time: int | None
    """UTC seconds; None where the dataset has none."""
    stars: float | None
    live: bool
    """Told since the dataset was made."""


@dataclass(frozen=True)
class Known:
    """All that is known of a user."""

    user: str
    in_dataset: bool
    cold: bool
    """CF knows nothing of the user."""
    events: list[Event]
    """The newest first."""


@dataclass(frozen=True)
class Scored:
    """The answer for one pair."""

    user: str
    item: str | None
    title: str
    probability: float
    score: float
    """The logit."""
    cold_user: bool
    """CF knows nothing of the user."""
    cold_item: bool


@dataclass(frozen=True)
class Ranked:
    """An item in its place."""

    rank: int
    item: str | None
    title: str
    probability: float
    score: float
    candidate_rank: int | None
    """Its place in CF's order; None where CF does not know the item."""
    cold: bool
    """CF knows nothing of the item."""
    new: bool
    """Added since the dataset was made."""


class LiveRun:
    """A run with what it is told while it is in use: likes, dislikes, what was seen, new items.

    What was told counts in the next answer: in the history of the prompt and, where the CF model
    can take it (`info()["feedback"]` says how), in the user's CF vector; the item side and all
    weights stay as they were trained. A new item is scored by its title at once.

    One thread constructs and uses it. All of it is in memory: two small objects per event, an entry
    per user who told anything and per added item, and for at most 256 groups of users their folded
    vectors; `Limits` bounds the first three.

    Parameters
    ----------
    run
        A run that nobody else uses: its CF source follows what is told here.
    follow
        Whether CF takes what is told; without it vectors stay as they were fitted, and prompts
        alone show it.
    until
        Rows of the dataset from this second on are not known.

    Raises
    ------
    DataError
        `until` came, and the rows of the dataset have no times.
    """

    def __init__(
        self, run: Run, *, follow: bool = True, until: int | None = None, limits: Limits = LIMITS
    ) -> None:
        if until is not None and run.knowledge.timeline.times is None:
            raise DataError(
                "`until` needs the times of the dataset's rows, and this run knows none. Leave it "
                "out, or open the run with its dataset."
            )
        self.run, self.follow, self._until, self._limits = run, follow, until, limits
        self._trained = None if run.cf is None else run.cf.model
        self._refresh: Refresh | None = None
        self._learned: list[tuple[str, str, Told]] = []
        """What was told here and is a part of the refresh in use."""
        self._policy = run.config.knowledge.policy
        self._compile_again: finalize[Any, Any] | None = None
        self._items = self._new_items()
        self._people = self._new_people()

    @classmethod
    def open(
        cls,
        folder: Path | str,
        data: Path | str | None = None,
        *,
        live: bool = True,
        until: int | None = None,
        limits: Limits = LIMITS,
        compiled: bool = False,
        refresh: str | None = NEWEST,
    ) -> Self:
        """Open a trained run for live use; parameters as of the class and of `load_run`.

        Blocks that the recipe compiles run uncompiled in this process from here to `close`, unless
        told otherwise: requests come in ever new shapes, and each is compiled for a minute.
        `refresh` is the fingerprint of one that `corarec refresh` made, `newest` the one in use,
        None the run as it was trained.
        """
        opened = cls(load_run(folder, data), follow=live, until=until, limits=limits)
        if not compiled:
            stack = ExitStack()
            stack.enter_context(uncompiled())
            opened._compile_again = finalize(opened, stack.close)
        if until is None:
            opened.swap(refresh)
        return opened

    def close(self) -> None:
        """Let the process compile again."""
        if self._compile_again is not None:
            self._compile_again()

    def __repr__(self) -> str:
        return f"LiveRun({self.run!r}, {self._people.events:,} events, {self._items.num_added} new)"

    def info(self) -> dict[str, Any]:
        """Return what this is and how much it knows, as plain values."""
        cf, knowledge = self.run.cf, self.knowledge
        refresh = self._refresh
        return {
            "run": self.run.folder.name,
            "system": self.run.config.system.name,
            "cf": None if cf is None else cf.name,
            "feedback": "prompt" if cf is None or not self.follow else cf.model.takes,
            "feedback_words": WORDS["nothing" if cf is None or not self.follow else cf.model.takes],
            "knowledge": self._policy,
            "weights": self.run.identity,
            "refresh": None if refresh is None else refresh.record.fingerprint,
            "dataset": knowledge.name,
            "fingerprint": knowledge.fingerprint.model_dump(mode="json"),
            "users": len(knowledge.users),
            "items": self._items.known,
            "items_added": self._items.num_added,
            "users_told": self._people.num_told,
            "events": self._people.events,
        }

    def newest_refresh(self) -> str | None:
        """Return the refresh that `corarec refresh` made last; None: there is none."""
        return None if self.run.folder.is_file() else newest_refresh(self.run.folder)

    def swap(self, refresh: str | None = NEWEST) -> str | None:
        """Take a refresh of the run into use, with all that was told since; return which.

        It is opened and checked first, so that a damaged one changes nothing. None goes back to the
        run as it was trained. Between two answers; contexts from before are not to be used.

        Raises
        ------
        ArtifactError
            It is not there, damaged, or of another run.
        """
        name = self.newest_refresh() if refresh == NEWEST else refresh
        before = None if self._refresh is None else self._refresh.record.fingerprint
        if name == before:
            return name
        opened = None if name is None else open_refresh(self.run.folder, name)
        cf, told, people, items = self.run.cf, self._people.all_told(), self._people, self._items
        assert cf is not None
        assert self._trained is not None
        cf.swap(self._trained if opened is None else opened.model)
        self._refresh = opened
        self._items, self._people = self._new_items(), self._new_people()
        for number in items.added():
            self._items.add_again(items, number)
        for number in items.removed():
            self._items.remove(str(items.raw(number)), in_use=True)
        for user in people.forgotten():
            self._people.forget(user)
        learned, self._learned = self._learned, []
        for user, raw, event in [*learned, *((u, str(items.raw(e.item)), e) for u, e in told)]:
            if not self._items.has(raw):
                # It was removed, and histories keep its title.
                self._items.add_again(items, event.item)
                self._items.remove(raw, in_use=True)
            number = self._items.number(raw, removed=True)
            if self._people.has_learned(user, number, event):
                self._learned.append((user, raw, event))
            else:
                self._people.tell(user, number, event.kind, event.time, event.stars)
        return name

    @property
    def scorer(self) -> Scorer:
        """What scores pairs."""
        return self.run.scorer

    @property
    def new_titles(self) -> list[str]:
        """Titles of the items beyond the catalogue, as `Scorer.score` takes them."""
        return self._items.new_titles

    @property
    def first_free(self) -> int:
        """The number of the first title that stands behind `new_titles`."""
        return self._items.count + 1

    # Items

    def add_item(self, item: str, title: str, *, time: int | None = None, **metadata: Any) -> bool:
        """Add an item by its title; return whether that changed anything.

        The same id and title again change nothing; the same id with another title is retitled.
        Items of the same title are different items.

        Raises
        ------
        DataError
            It is an item of the dataset, a value is none, or there are too many.
        """
        when = self._people.now if time is None else checked_time(time)
        return self._items.add(item, title, time=when, metadata=metadata)

    def remove_item(self, item: str) -> bool:
        """Offer an item no more; return whether it was offered. Histories keep its title."""
        number = self._items._find(item)  # an unknown one is no mistake here
        return self._items.remove(item, in_use=bool(number) and self._people.refers_to(number))

    def item(self, item: str) -> Item:
        """Return what is known of an item.

        Raises
        ------
        DataError
            Nobody knows it.
        """
        return self._items.item(self._items.number(item, removed=True))

    def items(self, added_only: bool = True) -> list[Item]:
        """Return the items that were added, or all that may be offered."""
        numbers = self._items.added() if added_only else self._items.offered().tolist()
        return [self._items.item(number) for number in numbers]

    def search(self, query: str, count: int = 10) -> list[Hit]:
        """Return the items whose titles come closest to a query, typing errors and all."""
        return self._items.search(query, count)

    def filter_columns(self) -> dict[str, list[str]]:
        """Return what items can be filtered by, and values of each column."""
        return self._items.columns()

    def number(self, item: str) -> int:
        """Return the number of an item.

        Raises
        ------
        DataError
            Nobody knows it, or it was removed.
        """
        return self._items.number(item)

    def raw(self, number: int) -> str | None:
        """Return the raw id of an item's number; None of a title that nobody added."""
        return self._items.raw(number)

    def title(self, number: int) -> str:
        """Return the title of an item's number."""
        return self._items.title(number)

    # People

    def record(
        self,
        user: str,
        item: str,
        kind: Kind,
        time: int,
        stars: float | None = None,
        *,
        overwrite: bool = False,
    ) -> bool:
        """Take what somebody liked, disliked or saw; it counts in the next answer.

        Returns whether anything changed: the very same user, item, kind and time again change
        nothing, but for the stars with `overwrite`. Of several opinions of one person on one item
        the latest holds, by time and then by arrival. `seen` only keeps it from being recommended.

        Raises
        ------
        DataError
            Nobody knows the item, a value is none, or there is no room.
        """
        number = self._items.number(item, removed=True)
        return self._people.tell(user, number, kind, time, stars, overwrite=overwrite)

    def retract(self, user: str, item: str, kind: Kind, time: int) -> bool:
        """Take one event back; return whether it was known."""
        number = self._items.number(item, removed=True)
        return self._people.take_back(user, number, kind, time)

    def forget(self, user: str) -> int:
        """Forget a user; return how many events went. One of the dataset is a stranger then."""
        self._learned = [told for told in self._learned if told[0] != user]
        return self._people.forget(user)

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

    # Answers

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
            _histories([context.liked for context, _ in parts], owners),
            times=moment,
            known_until=moment if self._policy == "streaming" else None,
            disliked=_histories([context.disliked for context, _ in parts], owners),
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

    def pair_tokens(self, pairs: Sequence[ASKED]) -> list[int]:
        """Return about how many tokens the prompt of each pair has."""
        asked, titles = self._asked(pairs, None)
        lengths = self.run.recommender.inputs(asked, titles).lengths
        return [int(length) // LETTERS_PER_TOKEN + 1 for length in lengths]

    def score(self, pairs: Sequence[ASKED], *, time: int | None = None) -> list[Scored]:
        """Score pairs of any users and items at once.

        An item is its id, or ("title", a title) for one that is not added. With `time` an answer
        knows what happened before: with the knowledge policy `streaming` in earlier seconds, else
        until that second.

        Raises
        ------
        DataError
            Nobody knows a user or an item.
        """
        asked, titles = self._asked(pairs, time)
        scores = self.scorer.score(asked, new_titles=titles)
        cold_users, cold_items = self._cold(asked)
        return [
            Scored(
                user,
                item if isinstance(item, str) else None,
                item[1] if isinstance(item, tuple) else self._items.title(number),
                float(expit(score)),
                float(score),
                bool(cold_user),
                bool(cold_item),
            )
            for (user, item), number, score, cold_user, cold_item in zip(
                pairs, asked.item_ids.tolist(), scores, cold_users, cold_items, strict=True
            )
        ]

    def rank(
        self,
        user: str | None = None,
        items: Sequence[str] = (),
        *,
        liked: Sequence[str] = (),
        disliked: Sequence[str] = (),
        titles: Sequence[str] = (),
        k: int | None = None,
        exclude: Sequence[str] = (),
        time: int | None = None,
    ) -> list[Ranked]:
        """Order items of the caller's own, by id or (`titles`) new ones by their titles.

        Raises
        ------
        DataError
            Nobody knows an item, there is none, or a value is out of bounds.
        """
        context = self.context(user, liked=liked, disliked=disliked, time=time)
        left_out = self._numbers(exclude)
        numbers = [n for n in map(self._items.number, dict.fromkeys(items)) if n not in left_out]
        own = [checked_name(title, "title", self._limits.title_chars) for title in titles]
        numbers += range(self.first_free, self.first_free + len(own))
        if not numbers:
            raise DataError("There is nothing to rank: give items, or titles of new ones.")
        asked = np.array(numbers, dtype=np.int64)
        scores = self._score_items(context, asked, own, time)
        known = np.flatnonzero(~self._cold(self.join([(context, asked)]))[1])
        ranks = np.zeros(len(asked), dtype=np.int64)
        if self.run.cf is not None:
            first = self.run.cf.score(self.join([(context, asked[known])], time=time))
            ranks[known[np.argsort(-first, kind="stable")]] = np.arange(1, len(known) + 1)
        chosen = Candidates(asked, ranks)
        order = self.arranged(asked, scores, k=_bounded(k or len(asked), "k", 1))
        return self._ranked(chosen, scores, order, own)

    def recommend(
        self,
        user: str | None = None,
        *,
        liked: Sequence[str] = (),
        disliked: Sequence[str] = (),
        k: int = 10,
        candidates: int = 100,
        exclude: Sequence[str] = (),
        filters: Filters = NO_FILTERS,
        diversity: float = 0.0,
        time: int | None = None,
    ) -> list[Ranked]:
        """Recommend to a user, or to somebody new who likes some items.

        Raises
        ------
        DataError
            Nobody knows an item, or a value is out of bounds.
        """
        if _bounded(k, "k", 1) > _bounded(candidates, "candidates", 1):
            raise DataError(f"k is {k} and candidates is {candidates}; wanted is k at most that.")
        context = self.context(user, liked=liked, disliked=disliked, time=time)
        chosen = self.candidates(context, count=candidates, exclude=exclude, filters=filters)
        scores = self._score_items(context, chosen.item_ids, (), time)
        order = self.arranged(chosen.item_ids, scores, k=k, diversity=diversity, context=context)
        return self._ranked(chosen, scores, order, ())

    def candidates(
        self,
        context: Context,
        *,
        count: int,
        exclude: Sequence[str] = (),
        filters: Filters = NO_FILTERS,
    ) -> Candidates:
        """Return the items to be scored for one person, see `corarec.score.candidates`.

        Raises
        ------
        DataError
            Nobody knows an item to exclude, or a filter is of no column.
        """
        items = self._items.offered()
        items = items[self._items.fitting(filters)[items]]
        left_out = self._numbers(exclude)
        if filters.unseen:
            left_out |= set(self._people.seen(context.user_id).tolist())
        items = items[~np.isin(items, list(left_out))]
        new = ~self._known_items()[items]
        if self.scorer.scores_catalogues:
            items, new, count = items[~new], new[~new], len(items)
        arrival = np.array([self._items.time(number) for number in items.tolist()], np.int64)
        catalogue = self._items.catalogue_now()
        return candidates(
            self.run.cf,
            catalogue,
            context,
            items,
            new,
            arrival,
            count=count,
            joined=self.run.joined,
        )

    def arranged(
        self,
        item_ids: IntArray,
        scores: FloatArray,
        *,
        k: int,
        diversity: float = 0.0,
        context: Context | None = None,
    ) -> IntArray:
        """Return the places of the `k` best items in order, see `corarec.score.likeness`.

        With a context the scores are joined with what else says how items stand to that person,
        where the run learned to (`corarec learn-ranking`).

        Raises
        ------
        DataError
            The diversity is not from 0 to 1.
        """
        number = isinstance(diversity, int | float) and not isinstance(diversity, bool)
        if not number or not 0 <= diversity <= 1:
            raise DataError(f"The diversity is {diversity!r:.40}; wanted is 0 to 1.")
        if context is not None and self.run.joined is not None and len(item_ids):
            catalogue, offered = self._items.catalogue_now(), self._items.offered()
            cf, joined = self.run.cf, self.run.joined
            scores = worth(cf, catalogue, context, offered, item_ids, scores, joined)
        likeness = None
        if diversity > 0:
            titles = [self._items.title(item) for item in item_ids.tolist()]
            likeness = Likeness(self._vectors(item_ids), titles)
        return np.array(arranged(scores, likeness, k, diversity), dtype=np.int64)

    def explain(
        self,
        user: str | None = None,
        item: str | None = None,
        *,
        liked: Sequence[str] = (),
        disliked: Sequence[str] = (),
        title: str | None = None,
    ) -> Explanation:
        """Say how the answer for one pair moves when one thing is left out at a time.

        Raises
        ------
        DataError
            Nobody knows an item, or neither or both of item and title came.
        """
        if (item is None) == (title is None):
            raise DataError("Name either an item or the title of a new one.")
        context = self.context(user, liked=liked, disliked=disliked)
        own = [] if title is None else [checked_name(title, "title", self._limits.title_chars)]
        number = self.first_free if item is None else self._items.number(item)
        return self.explain_in(context, number, own)

    def explain_in(
        self, context: Context, number: int, own_titles: Sequence[str] = ()
    ) -> Explanation:
        """As `explain`, of an item's number; titles of the caller's own follow `new_titles`."""
        pair = self.join([(context, np.array([number]))])
        titles = self._titles(pair, own_titles)
        found = explain(
            self.scorer,
            self._items.catalogue_now(),
            context,
            number,
            num_shown=int(self.run.recommender.shown(pair, titles)[0]),
            new_titles=titles,
            frozen=self.run.recommender.frozen(),
        )
        if number < self.first_free:
            return found
        return replace(found, item=None, title=own_titles[number - self.first_free])

    @property
    def knowledge(self) -> Knowledge:
        """What is known but for what was told: of the dataset, or of the refresh in use."""
        return self.run.knowledge if self._refresh is None else self._refresh.knowledge

    def _new_items(self) -> Items:
        run = self.run
        items = Items(run.knowledge.catalogue, self._limits, _metadata(run.parts.splits))
        if self._refresh is not None:
            catalogue = self._refresh.knowledge.catalogue
            for number in range(run.knowledge.catalogue.num_items + 1, catalogue.num_items + 1):
                (raw,) = catalogue.vocabulary.raw(np.array([number]))
                items.add(raw, catalogue.titles[number])
        return items

    def _new_people(self) -> People:
        run, cf, knowledge = self.run, self.run.cf, self.knowledge
        everything = np.ones(len(knowledge.timeline.user_ids), dtype=np.bool_)
        people = People(
            knowledge,
            _fitted_rows(run) if self._refresh is None else everything,
            self._limits,
            until=self._until,
            streams=self._policy == "streaming" and knowledge.timeline.times is not None,
        )
        if cf is not None:
            cf.follow(people if self.follow else None)
        return people

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

    def _score_items(
        self, context: Context, item_ids: IntArray, own: Sequence[str], time: int | None
    ) -> FloatArray:
        if not len(item_ids):
            return np.zeros(0)
        pairs = self.join([(context, item_ids)])
        titles = self._titles(pairs, own)
        if time is not None:
            timed = self.join([(context, item_ids)], time=time)
            return self.scorer.score(timed, new_titles=titles)
        return self.scorer.score_items(context, item_ids, new_titles=titles)

    def _ranked(
        self, chosen: Candidates, scores: FloatArray, order: IntArray, own: Sequence[str]
    ) -> list[Ranked]:
        known = self._known_items()
        found = []
        for rank, place in enumerate(order.tolist(), start=1):
            number, score = int(chosen.item_ids[place]), float(scores[place])
            is_own = number >= self.first_free
            found.append(
                Ranked(
                    rank,
                    self._items.raw(number),
                    own[number - self.first_free] if is_own else self._items.title(number),
                    float(expit(score)),
                    score,
                    int(chosen.ranks[place]) or None,
                    is_own or not bool(known[number]),
                    number > self._items.known,
                )
            )
        return found

    def _vectors(self, item_ids: IntArray) -> FloatArray:
        """Return the CF vectors of items: [N, d]."""
        if self.run.cf is None:
            return np.zeros((len(item_ids), 0))
        nobody = self._people.context(0)
        table = self.run.cf.vector_table(self.join([(nobody, item_ids)]))
        return table.items.double().numpy()[table.item_rows]

    def _known_items(self) -> BoolArray:
        """Return which items CF knows; without a CF model those of the catalogue: [count + 1]."""
        numbers = np.arange(self._items.count + 1)
        known = (numbers > 0) & (numbers <= self._items.known)
        if self.run.cf is not None:
            return np.asarray(self._vectors(numbers).any(axis=1))
        return np.asarray(known)

    def _cold(self, pairs: Pairs) -> tuple[BoolArray, BoolArray]:
        """Return of which users, and of which items, CF knows nothing: [N] each."""
        if self.run.cf is None:
            none = np.zeros(len(pairs), dtype=np.bool_)
            return none, none
        table = self.run.cf.vector_table(pairs)
        users, items = (half.any(dim=1).numpy() for half in (table.users, table.items))
        return ~users[table.user_rows], ~items[table.item_rows]


def _histories(lists: Sequence[IntArray], owners: IntArray) -> Histories:
    """Return for each pair the list of its owner, each list kept once."""
    ends = np.cumsum([len(items) for items in lists], dtype=np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), ends])[: len(lists)]
    return Histories(np.concatenate([np.zeros(0, np.int64), *lists]), starts[owners], ends[owners])


def _fitted_rows(run: Run) -> BoolArray:
    """Return which rows of what is known took part in the fit of the CF model: [N].

    Where that is not told (a packed run) they are all rows of the users whom CF knows.
    """
    line, cf = run.knowledge.timeline, run.cf
    count = len(line.user_ids)
    if cf is None or cf.model.report is None:
        return np.ones(count, dtype=np.bool_)
    if run.parts.splits is not None:
        return np.asarray(seen_rows(run.parts.splits, cf.model.report))
    if cf.model.takes != "rows":
        return np.ones(count, dtype=np.bool_)
    users = np.arange(run.knowledge.num_users + 1)
    empty = Histories.repeated(np.zeros(0, np.int64), len(users))
    table = cf.model.vector_table(Pairs(users, np.zeros(len(users), np.int64), empty))
    known = table.users.any(dim=1).numpy()[table.user_rows]
    return np.asarray(known[line.user_ids])


def _metadata(dataset: Dataset | None) -> Any:
    return None if dataset is None else dataset.items


def _bounded(value: int, name: str, least: int, most: int = 1_000_000) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise DataError(
            f"{name} is {value!r:.40}; wanted is a whole number from {least} to {most}."
        )
    return value
