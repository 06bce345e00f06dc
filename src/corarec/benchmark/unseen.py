"""The items that users had not met when a split began, in the orders of several systems.

A user's history and what was seen are those before the user's first row of the split.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from corarec.cf import VectorSource
from corarec.data import Dataset
from corarec.score.context import Context
from corarec.score.joined import SYSTEM, Group, GroupOrder, group_of, joined_order, signals
from corarec.score.recommend import candidate_order
from corarec.score.scorer import Scorer
from corarec.types import FloatArray, IntArray

RankedSplit = Literal["valid", "test"]

EARLIER = {"valid": ("train",), "test": ("train", "valid")}
"""The splits before each that can be ranked for."""


class UnseenItems:
    """What each user of one split had seen before it, and likes in it.

    Parameters
    ----------
    split
        `valid` or `test`.
    cf
        Orders all items; without one, popularity does.
    candidates
        How many of its first items get a new order.
    """

    def __init__(
        self, dataset: Dataset, split: RankedSplit, cf: VectorSource | None, candidates: int
    ) -> None:
        self.dataset = dataset
        self.cf = cf
        self.candidates = candidates
        in_split = pl.col("split")
        self.relevant = self._marked((in_split == split) & (pl.col("label") == 1))
        # An item that was drawn as a negative was not met, and is no right answer: to leave it out
        # would tell so.
        met = dataset.timeline.met
        happened = pl.lit(value=True) if met is None else pl.lit(pl.Series(met))
        self.seen = self._marked(in_split.is_in(EARLIER[split]) & happened)
        rows = np.flatnonzero((dataset.interactions["split"] == split).to_numpy())
        users = dataset.interactions["user_id"].to_numpy()[rows]
        self._first_rows = np.zeros(dataset.num_users + 1, dtype=np.int64)
        self._first_rows[users[::-1]] = rows[::-1]
        self._scores: dict[int, dict[int, float]] = {}

    def items(self, user_id: int) -> IntArray:
        """Return the unseen items, ascending."""
        items = np.arange(1, self.dataset.num_items + 1)
        return np.setdiff1d(items, self.seen[[user_id]].indices)

    def wanted(self, user_id: int) -> IntArray:
        """Return the right answers among them, ascending."""
        liked = self.relevant[[user_id]].indices
        return np.setdiff1d(liked, self.seen[[user_id]].indices).astype(np.int64)

    def popular(self, user_id: int) -> IntArray:
        """Return the unseen items, those first that more users of the training split liked."""
        return self._order(user_id, None)

    def recent(self, user_id: int) -> IntArray:
        """Return the unseen items, those first that were liked more of late."""
        items = self.items(user_id)
        catalogue = self.dataset.catalogue
        return items[np.lexsort((-catalogue.popularity[items], -catalogue.recent[items]))]

    def collaborative(self, user_id: int) -> IntArray:
        """Return the unseen items in the order of the CF model."""
        return self._order(user_id, self.cf)

    def chosen(self, user_id: int) -> IntArray:
        """Return the candidates, in the order of the CF model."""
        return self.collaborative(user_id)[: self.candidates]

    def reranked(
        self, scorer: Scorer, user_id: int, progress: Callable[[int], None] | None = None
    ) -> IntArray:
        """Return the CF model's order, its candidates in the order of the system."""
        order = self.collaborative(user_id)
        scores = self._scored(scorer, user_id, order[: self.candidates], progress)
        best = np.argsort(-scores, kind="stable")
        return np.concatenate([order[best], order[self.candidates :]])

    def headed(
        self,
        head: Callable[[int], IntArray],
        whole: Callable[[int], IntArray],
        user_id: int,
    ) -> IntArray:
        """Return an order, some items of it before all others.

        `head` returns them for a user, such as the candidates as `reranked` puts them in order.
        """
        first = head(user_id)
        order = whole(user_id)
        return np.concatenate([first, order[~np.isin(order, first)]])

    def joined(
        self,
        scorer: Scorer | None,
        groups: Mapping[Group, GroupOrder],
        user_id: int,
        progress: Callable[[int], None] | None = None,
    ) -> IntArray:
        """Return the order that joins CF model, popularity and, if any, system as `recommend`."""
        context = self.context(user_id)
        group = groups[group_of(context)]
        items = self.items(user_id)
        said = signals(self.cf, self.dataset.catalogue, context, items, group.parts)
        order = said.order(group.first)
        picked = order[: self.candidates]
        if scorer is None:
            return said.items[order]
        if not group.then.get(SYSTEM):  # it has no say, so it need not be asked
            chosen = np.sort(picked)
            best = np.argsort(-said.sum(group.then)[chosen], kind="stable")
            return said.items[np.concatenate([chosen[best], order[self.candidates :]])]
        scores = self._scored(scorer, user_id, said.items[picked], progress)
        best = joined_order(said, picked, scores, group.then)
        return said.items[np.concatenate([picked[best], order[self.candidates :]])]

    def perfect(self, user_id: int) -> IntArray:
        """Return the CF model's order, its candidates in the best order there is."""
        order = self.collaborative(user_id)
        liked = np.isin(order[: self.candidates], self.relevant[[user_id]].indices)
        best = np.argsort(~liked, kind="stable")
        return np.concatenate([order[best], order[self.candidates :]])

    def context(self, user_id: int) -> Context:
        """Return what was known of a user when the split began."""
        first = self._first_rows[[user_id]]
        liked, disliked = (
            self.dataset.timeline.before_rows(first, liked=liked) for liked in (True, False)
        )
        return Context.of(user_id, liked, disliked)

    def scores(self, order: Callable[[int], IntArray], user_ids: IntArray) -> FloatArray:
        """Return scores that rank the catalogue in an order: [B, I + 1], seen items last."""
        size = self.dataset.num_items + 1
        scores = np.full((len(user_ids), size), -float(size))
        for row, user_id in enumerate(user_ids.tolist()):
            items = order(user_id)
            scores[row, items] = -np.arange(len(items))
        return scores

    def _scored(
        self,
        scorer: Scorer,
        user_id: int,
        items: IntArray,
        progress: Callable[[int], None] | None,
    ) -> FloatArray:
        """Return the system's scores of items [C]; what was scored for another order is kept."""
        known = self._scores.setdefault(user_id, {})
        new = np.array([item for item in items.tolist() if item not in known], dtype=np.int64)
        if len(new):
            scores = scorer.score_items(self.context(user_id), new, progress=progress)
            known.update(zip(new.tolist(), scores.tolist(), strict=True))
        if progress is not None and len(new) < len(items):
            progress(len(items) - len(new))
        return np.array([known[item] for item in items.tolist()])

    def _order(self, user_id: int, cf: VectorSource | None) -> IntArray:
        unseen = self.items(user_id)
        return unseen[
            candidate_order(cf, self.dataset.catalogue, self.context(user_id).pairs(unseen))
        ]

    def _marked(self, rows: pl.Expr) -> csr_array:
        chosen = self.dataset.interactions.filter(rows).select("user_id", "item_id").unique()
        users, items = chosen["user_id"].to_numpy(), chosen["item_id"].to_numpy()
        shape = (self.dataset.num_users + 1, self.dataset.num_items + 1)
        return csr_array((np.ones(len(chosen), dtype=bool), (users, items)), shape=shape)
