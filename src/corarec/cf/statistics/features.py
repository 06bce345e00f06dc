"""The statistics of pairs, family by family."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from corarec.cf.counting.rows import SMOOTHING, Asked, KnownRows, Tables
from corarec.cf.statistics.config import Family, StatisticsConfig
from corarec.cf.statistics.content import PENALTY, mean_of_liked, profile
from corarec.cf.statistics.early import Folded
from corarec.cf.statistics.followed import Followed
from corarec.cf.statistics.neighbours import CoCounts, neighbours
from corarec.cf.statistics.recent import NAMES, recent
from corarec.cf.statistics.ridge import ridge
from corarec.data.history import NEVER_OVER, KnowledgePolicy
from corarec.types import FloatArray, Histories, IntArray

Side = Literal["user", "item", "match"]
USER_SMOOTHINGS, ITEM_SMOOTHINGS = (1.5, 20.0), (2.0, 20.0)
Columns = Iterator[tuple[Side, str, FloatArray]]


@dataclass(frozen=True)
class Statistic:
    """What a column of the statistics is."""

    family: Family
    side: Side
    name: str


@dataclass(frozen=True)
class Known:
    """What is known to pairs at once, and of which moment the tables are."""

    asked: Asked
    ranks: IntArray
    """[Q] distinct times before each pair's moment"""
    tables: Tables
    streaming: bool


class Features:
    """What `statistics` computes of pairs from the rows that may be known.

    Under `snapshot` every pair sees tables made at its own moment. Under `streaming` counts, rates
    and residuals run from second to second, and what is between items (neighbours, the kind of
    items liked) is of the beginning of the month.
    """

    def __init__(
        self,
        rows: KnownRows,
        content: FloatArray,
        early: Folded | None,
        config: StatisticsConfig,
        policy: KnowledgePolicy,
    ) -> None:
        self.rows, self.content, self.early = rows, content, early
        self.config = config
        self.policy = policy
        self.streaming = policy.policy == "streaming"
        self._last: tuple[Tables, CoCounts | None] | None = None
        self.followed: Followed | None = None
        """Keeps the counts of pairs of items, which no row of a later month changes."""

    @cached_property
    def names(self) -> list[Statistic]:
        """Which statistics there are: [F]."""
        nobody = np.zeros(0, dtype=np.int64)
        asked = Asked(nobody, nobody, nobody, Histories(nobody, nobody, nobody))
        known = Known(asked, nobody, self.rows.tables(0), self.streaming)
        return [
            Statistic(family, side, name)
            for family, columns in self._families(known, None)
            for side, name, _ in columns
        ]

    def of(self, asked: Asked) -> FloatArray:
        """Return the statistics of pairs: [Q, F]."""
        if not len(asked):
            return np.empty((0, len(self.names)))
        moments = asked.until
        if self.streaming:
            ends = moments == NEVER_OVER
            moments = np.where(ends, 0, moments)
            moments = np.where(ends, NEVER_OVER, self.policy.period_start(moments))
        result = np.empty((len(asked), len(self.names)))
        counts: CoCounts | None = None
        order = np.argsort(moments, kind="stable")
        values, first = np.unique(moments[order], return_index=True)
        for moment, some in zip(values.tolist(), np.split(order, first[1:]), strict=True):
            tables, counts = self._at(moment, counts)
            part = asked.take(some)
            known = Known(part, self.rows.rank(part.until), tables, self.streaming)
            found = (each for _, columns in self._families(known, counts) for each in columns)
            for place, (_, _, column) in enumerate(found):
                result[some, place] = column
        return result

    def known(self, asked: Asked) -> tuple[np.ndarray, np.ndarray]:
        """Return of which users, and of which items, anything is known: [Q] each."""
        starts, ends = self.rows.ranges(asked.users, asked.until)
        users = (ends > starts) | (asked.histories.lengths() > 0)
        items = self.rows.of_items.counts(asked.items, self.rows.rank(asked.until)) > 0
        if self.early is not None:
            starts, ends = self.early.rows.ranges(asked.users, asked.until)
            users |= ends > starts
            items |= self.early.early.item_rows[asked.items] > 0
        return users, items

    def _at(self, moment: int, counts: CoCounts | None) -> tuple[Tables, CoCounts | None]:
        """Return the tables of a moment, those of the last one kept for the next who asks."""
        if self._last is not None and self._last[0].moment == moment:
            return self._last
        if self.followed is not None:
            if "neighbours" in self.config.families:
                most = self.config.neighbour_items
                counts = self.followed.counts(self.rows, most, moment)
            self._last = self.rows.tables(moment), counts
            return self._last
        if "neighbours" in self.config.families:
            if counts is None:
                counts = CoCounts(self.rows, self.config.neighbour_items)
            counts.advance(moment)
        found = self.rows.tables(moment), counts
        if moment == NEVER_OVER:
            self._last = found
        return found

    def _families(self, known: Known, counts: CoCounts | None) -> Iterator[tuple[Family, Columns]]:
        """Yield the chosen families with their statistics, always in one order."""
        chosen = set(self.config.families)
        users, items = self._user_counts(known), self._item_counts(known)
        means = self._means(known)
        if "user" in chosen:
            yield "user", _rates("user", *users, means, USER_SMOOTHINGS)
        if "item" in chosen:
            yield "item", _rates("item", *items, means, ITEM_SMOOTHINGS)
        if "residuals" in chosen:
            yield "residuals", self._residuals(known, users[0], items[0])
        if "content" in chosen:
            yield "content", self._content(known)
        if "neighbours" in chosen:
            yield "neighbours", self._neighbours(known, counts)
        if "history" in chosen:
            yield "history", self._history(known)
        if "running" in chosen and self.streaming:
            yield "running", self._running(known.asked)
        if "early" in chosen:
            yield "early", self._early(known.asked)

    def _user_counts(self, known: Known) -> tuple[FloatArray, FloatArray]:
        users = known.asked.users
        if not self.streaming:
            return known.tables.user_rows[users], known.tables.user_likes[users]
        of_users = self.rows.of_users
        likes = of_users.sums(self.rows.labels, users, known.ranks)
        return of_users.counts(users, known.ranks), likes

    def _item_counts(self, known: Known) -> tuple[FloatArray, FloatArray]:
        items = known.asked.items
        if not self.streaming:
            return known.tables.item_rows[items], known.tables.item_likes[items]
        of_items = self.rows.of_items
        likes = of_items.sums(self.rows.labels, items, known.ranks)
        return of_items.counts(items, known.ranks), likes

    def _means(self, known: Known) -> FloatArray:
        if not self.streaming:
            return np.full(len(known.asked), known.tables.mean)
        return self.rows.mean_before(known.ranks)

    def _residuals(self, known: Known, user_rows: FloatArray, item_rows: FloatArray) -> Columns:
        users, items = known.asked.users, known.asked.items
        if not self.streaming:
            yield "user", "user residual", known.tables.user_residuals[users]
            yield "item", "item residual", known.tables.item_residuals[items]
            return
        running = self.rows.running
        of_user = self.rows.of_users.sums(running.first, users, known.ranks)
        of_item = self.rows.of_items.sums(running.second, items, known.ranks)
        yield "user", "user residual", of_user / (user_rows + SMOOTHING)
        yield "item", "item residual", of_item / (item_rows + SMOOTHING)

    def _left(self, known: Known) -> FloatArray:
        """Return the residual of every row after both biases, as these pairs may know it: [N]."""
        return self.rows.running.second if self.streaming else known.tables.residuals

    def _content(self, known: Known) -> Columns:
        taste = ridge(self.content, self.rows, self._left(known), known.asked, PENALTY)
        yield "match", "content ridge", taste
        yield "match", "content profile", profile(self.content, known.tables.item_rows, known.asked)
        yield "item", "year", self.content[known.asked.items, -1]

    def _neighbours(self, known: Known, counts: CoCounts | None) -> Columns:
        names = ("liked neighbours", "disliked neighbours", "residual neighbours")
        if counts is None:
            columns = np.zeros((len(known.asked), len(names)))
        else:
            most, left = self.config.neighbour_rows, self._left(known)
            columns = neighbours(self.rows, counts, known.asked, known.tables, left, most)
        for name, column in zip(names, columns.T, strict=True):
            yield "match", name, column

    def _history(self, known: Known) -> Columns:
        tables = known.tables
        kinds = np.stack(
            [tables.item_rates - tables.mean, np.log1p(tables.item_rows), self.content[:, -1]],
            axis=1,
        )
        liked = mean_of_liked(kinds, known.asked)
        yield "user", "log history", np.log1p(known.asked.histories.lengths())
        for name, column in zip(("rate", "log count", "year"), liked.T, strict=True):
            yield "user", f"{name} of the liked", column

    def _running(self, asked: Asked) -> Columns:
        columns = recent(self.rows, self.rows.running.first, asked)
        for name, column in zip(NAMES, columns.T, strict=True):
            yield "user", name, column

    def _early(self, asked: Asked) -> Columns:
        assert self.early is not None, "the family is chosen, so its tables are there"
        early = self.early.early
        bias, count, agreement = self.early.columns(asked)
        yield "user", "early bias of the user", bias
        yield "user", "early log count of the user", np.log1p(count)
        yield "item", "early bias of the item", early.item_bias[asked.items]
        yield "item", "early log count of the item", np.log1p(early.item_rows[asked.items])
        yield "match", "early factors", agreement


def _rates(
    side: Side,
    rows: FloatArray,
    likes: FloatArray,
    means: FloatArray,
    smoothings: tuple[float, ...],
) -> Columns:
    rate = (likes + SMOOTHING * means) / (rows + SMOOTHING)
    yield side, f"logit of the {side}'s rate", np.log(rate) - np.log1p(-rate)
    for smoothing in smoothings:
        yield side, f"{side}'s rate, {smoothing:g}", (likes - rows * means) / (rows + smoothing)
    yield side, f"log count of the {side}", np.log1p(rows)
