"""Tables of vectors into which users are folded by what they like and dislike."""

import math
from abc import abstractmethod
from copy import copy
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch

from corarec.arrays import distinct
from corarec.cf.data import FitData
from corarec.cf.factors.folding import Prior, Rows, held_back, solved
from corarec.cf.feedback import Feedback, Takes
from corarec.cf.tables import TableModel
from corarec.cf.vectors import known_ids
from corarec.types import PADDING_ID, BoolArray, FloatArray, Histories, IntArray, Log, Pairs

MEASURED = 40
"""Users, and items, by whose scores the firmness is measured."""
GRID = 10.0 ** np.arange(-2, 4.5, 0.5)


class FoldingTable(TableModel):
    """A table model whose score is a product, so that a user is a regression on the item vectors.

    Labels are those of likes and dislikes; rows of items that the fit did not know say nothing. A
    user whom the fit knew begins where it left off (see `held_back`).
    """

    @property
    def takes(self) -> Takes:
        """Rows: a user's vector is solved for anew."""
        return "rows"

    _firmness: float | None = None
    """What the penalty is multiplied with; None in models of earlier versions."""

    @property
    @abstractmethod
    def plain_prior(self) -> Prior:
        """Where the numbers of users are expected before any row, but for how firmly."""

    @property
    def plain_firmness(self) -> float:
        """How firmly where that was not measured."""
        return 1.0

    @cached_property
    def prior(self) -> Prior:
        """Where the numbers of users are expected before any row."""
        firmness = self.plain_firmness if self._firmness is None else self._firmness
        return Prior(self.plain_prior.centre, self.plain_prior.penalty * firmness)

    def measure_firmness(self, data: FitData) -> None:
        """Take the penalty under which users of the fit, by their rows, score most as fitted.

        A fit ends where validation says, which is not where its own penalty would lead.
        """
        train = data.train
        liked = train.item_ids[data.train_labels == 1]
        popularity = np.bincount(liked, minlength=data.num_items + 1)
        users = distinct(train.user_ids[train.user_ids > 0])
        users = users[np.linspace(0, len(users) - 1, min(MEASURED, len(users))).astype(np.int64)]
        rows = np.flatnonzero(np.isin(train.user_ids, users))
        rows = rows[np.argsort(train.user_ids[rows], kind="stable")]
        none = np.zeros(len(rows), dtype=np.int64)
        of_users = train.user_ids[rows], train.item_ids[rows], data.train_labels[rows]
        log = Log(*of_users, none, np.full(len(rows), np.nan))
        new, current = np.zeros(len(rows), np.bool_), np.ones(len(rows), np.bool_)
        # By other numbers, or their fitted vectors would be where folding begins.
        beyond = len(self.user_table)
        log = replace(log, user_ids=log.user_ids + beyond)
        feedback = Feedback(users + beyond, log, new, current, popularity)
        items = np.flatnonzero(self._known_items)
        items = items[np.linspace(0, len(items) - 1, min(MEASURED, len(items))).astype(np.int64)]
        wanted = self.score(_every(users, items))
        least, best = math.inf, None
        for firmness in GRID * self.plain_firmness:
            tried = copy(self)
            tried._firmness = float(firmness)
            vars(tried).pop("prior", None)
            found = tried.knowing(feedback).score(_every(users + beyond, items))
            distance = float(np.square(found - wanted).mean())
            if distance < least:
                least, best = distance, float(firmness)
        self._firmness = best
        vars(self).pop("prior", None)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return both tables, and how firmly users are held when they are folded in."""
        tensors = super().tensors()
        if self._firmness is None:
            return tensors
        return tensors | {"firmness": torch.tensor([self._firmness], dtype=torch.float64)}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over both tables, and the firmness where it was measured.

        Raises
        ------
        ValueError
            The firmness is none.
        """
        super().restore(tensors)
        if "firmness" in tensors:
            self._firmness = float(tensors["firmness"])
            if not (math.isfinite(self._firmness) and self._firmness > 0):
                raise ValueError(f"a firmness of {self._firmness}")

    def regressors(self, items: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return what the regression reads of items [n]: features [n, f] and offsets [n]."""
        return self.item_table[torch.from_numpy(items)].double().numpy(), np.zeros(len(items))

    def unknowns(self, vectors: FloatArray) -> FloatArray:
        """Return what is solved for of user vectors: [R, d] to [R, f]."""
        return vectors

    def vector(self, solution: FloatArray) -> FloatArray:
        """Return the user vector of what was solved for: [f] to [d]."""
        return solution

    def centre(self, liked: IntArray, feedback: Feedback) -> FloatArray | float:
        """Return what is added to the prior's centre for a user who likes these items: [f]."""
        return 0.0

    def knowing(self, feedback: Feedback) -> "FoldingTable":
        """Return this model with the users of the feedback folded in."""
        size = len(self.user_table)
        known = torch.from_numpy(known_ids(feedback.users, size))
        fitted = self.user_table[known].double().numpy()
        items = known_ids(feedback.rows.item_ids, len(self.item_table))
        there = self._known_items[items] & (items != PADDING_ID)
        vectors = torch.zeros(len(feedback.users), self.vector_size)
        for row, places in enumerate(feedback.ranges()):
            seen = feedback.current[places] & there[places]
            moved = (feedback.current != feedback.fitted)[places] & there[places]
            if not moved.any():
                vectors[row] = torch.from_numpy(fitted[row])
                continue
            liked = feedback.rows.labels[places] == 1
            of_items = items[places]
            rows = Rows(*self.regressors(of_items), liked.astype(np.float64))
            prior = self.prior.moved(self.centre(of_items[liked & seen], feedback))
            if fitted[row].any():
                old = feedback.fitted[places] & there[places]
                before = self.prior.moved(self.centre(of_items[liked & old], feedback))
                (start,) = self.unknowns(fitted[row : row + 1])
                prior = prior.moved(held_back(rows.take(old), before, start))
            vectors[row] = torch.from_numpy(self.vector(solved(rows.take(seen), prior)))
        return self.with_users(feedback.users, vectors)

    def extended(self, feedback: Feedback, num_items: int) -> "FoldingTable":
        """Return this model with users folded in for good, and new items by who likes them.

        Items of the fit stay as they were. A new item is a regression on the users' vectors, as a
        user is one on the items'.
        """
        knowing = self.knowing(feedback)
        model = copy(self)
        numbers = np.arange(feedback.num_users + 1)
        users = knowing._users_at(knowing._overlay.places(numbers, len(self.user_table)))
        items = torch.zeros(num_items + 1, self.vector_size)
        items[: len(self.item_table)] = self.item_table
        model.set_tables(users, items)
        for name in ("prior", "_known_items", "_fitted_unknowns"):
            vars(model).pop(name, None)
        model._keep_space(self)
        rows = feedback.rows
        new = feedback.current & ~self._known_items[known_ids(rows.item_ids, len(self.item_table))]
        for item in np.unique(rows.item_ids[new & (rows.item_ids <= num_items)]).tolist():
            raters = new & (rows.item_ids == item)
            of_users = users[torch.from_numpy(rows.user_ids[raters])]
            known = of_users.any(dim=1)
            if known.any():
                labels = rows.labels[raters][known.numpy()]
                items[item] = self.new_item(of_users[known].double().numpy(), labels)
        return model

    def _keep_space(self, of: "FoldingTable") -> None:
        """Keep what was measured over the users and items of the fit."""
        vars(self)["plain_prior"], vars(self)["prior"] = of.plain_prior, of.prior

    def new_item(self, users: FloatArray, labels: IntArray) -> torch.Tensor:
        """Return the vector of an item by the vectors [n, d] and labels [n] of its users: [d]."""
        table = self.item_table[torch.from_numpy(np.flatnonzero(self._known_items))]
        prior = Prior.of(table.double().numpy())
        rows = Rows(users, np.zeros(len(users)), labels.astype(np.float64))
        return torch.from_numpy(solved(rows, prior)).float()

    @cached_property
    def _known_items(self) -> BoolArray:
        known: BoolArray = self.item_table.any(dim=1).numpy()
        return known

    @cached_property
    def _fitted_unknowns(self) -> FloatArray:
        """What is solved for of every fitted user: [R, f]."""
        known = self.user_table[self.user_table.any(dim=1)]
        return self.unknowns(known.double().numpy())


def _every(users: IntArray, items: IntArray) -> Pairs:
    """Return the pairs of all these users and items."""
    count = len(users) * len(items)
    nothing = Histories.repeated(np.zeros(0, np.int64), count)
    return Pairs(np.repeat(users, len(items)), np.tile(items, len(users)), nothing)
