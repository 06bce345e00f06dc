"""Tables of vectors into which users are folded by what they like and dislike."""

from abc import abstractmethod
from functools import cached_property

import numpy as np
import torch

from corarec.cf.feedback import Feedback, Takes
from corarec.cf.folding import Prior, Rows, held_back, solved
from corarec.cf.tables import TableModel, known_ids
from corarec.types import PADDING_ID, BoolArray, FloatArray, IntArray


class FoldingTable(TableModel):
    """A table model whose score is a product, so that a user is a regression on the item vectors.

    Labels are those of likes and dislikes; rows of items that the fit did not know say nothing. A
    user whom the fit knew begins where it left off (see `held_back`).
    """

    @property
    def takes(self) -> Takes:
        """Rows: a user's vector is solved for anew."""
        return "rows"

    @property
    @abstractmethod
    def prior(self) -> Prior:
        """Where the numbers of users are expected before any row."""

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

    @cached_property
    def _known_items(self) -> BoolArray:
        known: BoolArray = self.item_table.any(dim=1).numpy()
        return known

    @cached_property
    def _fitted_unknowns(self) -> FloatArray:
        """What is solved for of every fitted user: [R, f]."""
        known = self.user_table[self.user_table.any(dim=1)]
        return self.unknowns(known.double().numpy())
