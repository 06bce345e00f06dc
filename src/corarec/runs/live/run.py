"""`LiveRun`: a trained run that learns what people like while it is in use."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from scipy.special import expit

from corarec.cf.feedback import WORDS
from corarec.errors import DataError
from corarec.runs.live.checks import bounded, checked_name
from corarec.runs.live.choice import NO_FILTERS, LiveChoice
from corarec.runs.live.state import LIMITS, NEWEST
from corarec.runs.live.types import ASKED, Filters, Limits, Ranked, Scored
from corarec.runs.run import load_run
from corarec.score.candidates import Candidates
from corarec.score.context import Context
from corarec.score.explain import Explanation, explain
from corarec.score.scorer import Scorer
from corarec.types import FloatArray, IntArray

LETTERS_PER_TOKEN = 3
LONG_TITLES = 50
"""Longer than a prompt has room for."""


class LiveRun(LiveChoice):
    """A run with what it is told while it is in use: likes, dislikes, what was seen, new items.

    What was told counts in the next answer: in the history of the prompt and, where the CF model
    can take it (`info()["feedback"]` says how), in the user's CF vector; the item side and all
    weights stay as they were trained. A new item is scored by its title at once.

    One thread constructs and uses it. All of it is in memory: two small objects per event, an entry
    per user who told anything and per added item, and the folded vectors of some 1,000 users;
    `Limits` bounds the first three.

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

    @classmethod
    def open(
        cls,
        folder: Path | str,
        data: Path | str | None = None,
        *,
        live: bool = True,
        until: int | None = None,
        limits: Limits = LIMITS,
        refresh: str | None = NEWEST,
    ) -> Self:
        """Open a trained run for live use; parameters as of the class and of `load_run`.

        `refresh` is the fingerprint of one that `corarec refresh` made, `newest` the one in use,
        None the run as it was trained.
        """
        opened = cls(load_run(folder, data), follow=live, until=until, limits=limits)
        if until is None:
            opened.swap(refresh)
        return opened

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
            "scores_added_items": not self.scorer.scores_catalogues,
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

    def warm_up(self) -> None:
        """Make what answers need and what is kept then, so that nobody waits for it.

        It scores the item with the longest title for somebody who likes such titles, the frozen
        model beside the system too: with prompts that long the titles of the catalogue are counted
        in tokens, which takes seconds for each 100,000.
        """
        lengths = np.array([len(title) for title in self.run.knowledge.catalogue.titles])
        longest = np.argsort(-lengths[1:], kind="stable")[:LONG_TITLES] + 1
        context, items = Context(0, longest, longest[:0]), longest[:1]
        self.score_items(context, items)
        if (frozen := self.run.recommender.frozen()) is not None:
            Scorer(frozen).score(self.join([(context, items)]))
        self.candidates(context, count=1)

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
        scores = self.score_items(context, asked, own, time)
        known = np.flatnonzero(~self._cold(self.join([(context, asked)]))[1])
        ranks = np.zeros(len(asked), dtype=np.int64)
        if self.run.cf is not None:
            first = self.run.cf.score(self.join([(context, asked[known])], time=time))
            ranks[known[np.argsort(-first, kind="stable")]] = np.arange(1, len(known) + 1)
        chosen = Candidates(asked, ranks)
        order = self.arranged(asked, scores, k=bounded(k or len(asked), "k", 1))
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
        if bounded(k, "k", 1) > bounded(candidates, "candidates", 1):
            raise DataError(f"k is {k} and candidates is {candidates}; wanted is k at most that.")
        context = self.context(user, liked=liked, disliked=disliked, time=time)
        chosen = self.candidates(context, count=candidates, exclude=exclude, filters=filters)
        scores = self.score_items(context, chosen.item_ids, (), time)
        order = self.arranged(chosen.item_ids, scores, k=k, diversity=diversity, context=context)
        return self._ranked(chosen, scores, order, ())

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

    def score_items(
        self,
        context: Context,
        item_ids: IntArray,
        own: Sequence[str] = (),
        time: int | None = None,
    ) -> FloatArray:
        """Return the scores of items, by number, for one person: [N].

        Those from `first_free` on are the titles `own`.
        """
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
