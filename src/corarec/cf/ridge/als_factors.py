"""The state of alternating least squares: training rows, one held side, all else by ridge."""

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import torch

from corarec.cf.feedback import Feedback, Overlay
from corarec.cf.ridge.own_rows import check_rows, distinct_keys
from corarec.cf.ridge.regressions import RidgeSide
from corarec.cf.vectors import known_ids
from corarec.types import IntArray


@dataclass(frozen=True)
class Factors:
    """Users are the ridge regressions that hold `held_items`, items those that hold the users."""

    user_ids: torch.Tensor
    """[N] of the training rows"""
    item_ids: torch.Tensor
    """[N]"""
    labels: torch.Tensor
    """[N] 0 or 1"""
    held_items: torch.Tensor
    """[I + 1, k + 1] float32: `[q, b_i]` of the sweep before"""
    num_users: int
    """U"""
    penalty: float
    """on the factors"""
    bias_penalty: float
    """on the biases"""

    fitted_rate: float | None = None
    """`m` of the fit, where rows came later"""
    overlay: Overlay = field(default_factory=Overlay)
    """Users who are not, or not any more, as they were fitted."""
    folded: RidgeSide | None = None
    """Their regressions, by their place in the overlay."""

    def user_places(self, user_ids: IntArray) -> IntArray:
        """Return the regression of each user: `0..U`, then those that were folded in: [N]."""
        known = known_ids(user_ids, self.num_users + 1)
        return self.overlay.places(user_ids, self.num_users + 1) if self.folded else known

    def folding(self, feedback: Feedback) -> "Factors":
        """Return these factors with some users as regressions on all that is known of them.

        Rows of items that no training row has say nothing.
        """
        rows = feedback.rows
        items = torch.from_numpy(known_ids(rows.item_ids, len(self.held_items)))
        places = torch.from_numpy(np.searchsorted(feedback.users, rows.user_ids))
        labels = torch.from_numpy(rows.labels)
        known = torch.from_numpy(feedback.current) & (self.item_side.counts[items] > 0)
        side = self._side(
            places[known], items[known], self.held_items, len(feedback.users), labels[known]
        )
        # What the fit itself has made is shared, not made again.
        factors = replace(self, overlay=Overlay(feedback.users), folded=side)
        for name in ("rate", "user_side", "item_side"):
            vars(factors)[name] = getattr(self, name)
        return factors

    def extended(self, feedback: Feedback, num_items: int) -> "Factors":
        """Return these factors over the rows that hold, those of the fit's other users included."""
        rows, size = feedback.rows, len(self.held_items)
        held = torch.zeros(num_items + 1, self.held_items.shape[1])
        held[:size] = self.held_items
        others = torch.from_numpy(~np.isin(self.user_ids.numpy(), feedback.users))
        told = [
            torch.from_numpy(column[feedback.current].astype(np.int64))
            for column in (rows.user_ids, rows.item_ids, rows.labels)
        ]
        kept = [column[others] for column in (self.user_ids, self.item_ids, self.labels)]
        users, items, labels = (torch.cat(both) for both in zip(kept, told, strict=True))
        return replace(
            self,
            user_ids=users,
            item_ids=items,
            labels=labels.to(self.labels.dtype),
            held_items=held,
            num_users=max(self.num_users, feedback.num_users),
            # Or whom and what nothing was told of would move, too.
            fitted_rate=self.rate,
        )

    @cached_property
    def rate(self) -> float:
        """`m`, the share of liked rows of the fit."""
        return float(self.labels.double().mean()) if self.fitted_rate is None else self.fitted_rate

    @cached_property
    def user_side(self) -> RidgeSide:
        """The regressions that give `[p, b_u]`."""
        return self._side(
            self.user_ids, self.item_ids, self.held_items, self.num_users + 1, self.labels
        )

    @cached_property
    def item_side(self) -> RidgeSide:
        """The regressions that give `[q, b_i]`."""
        users = self.user_side.coefficients
        return self._side(self.item_ids, self.user_ids, users, len(self.held_items), self.labels)

    def halves(
        self, users: torch.Tensor, items: torch.Tensor, own: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, IntArray, IntArray]:
        """Return the distinct user and item vectors and each pair's place in them.

        Parameters
        ----------
        users, items
            [N] known ids, 0 for unknown.
        own
            [N] the label with which a pair took part in training, -1 where it did not.
        """
        user_half, user_rows = self._half(
            self.user_side, users, items, own, self.held_items.double(), 1
        )
        item_half, item_rows = self._half(
            self.item_side, items, users, own, self.user_side.coefficients, -1
        )
        return user_half, item_half, user_rows, item_rows

    def check_rows(self, users: torch.Tensor, items: torch.Tensor, own: torch.Tensor) -> None:
        """Make sure that the pairs with an own label are rows of the training data.

        Raises
        ------
        DataError
            One is not.
        """
        rows = torch.stack([self.user_ids, self.item_ids, self.labels], dim=1)
        check_rows(rows, users, items, own, len(self.held_items))

    def _side(
        self,
        ids: torch.Tensor,
        others: torch.Tensor,
        held: torch.Tensor,
        size: int,
        labels: torch.Tensor,
    ) -> RidgeSide:
        """Return the regressions of `ids` [N] on what is held of `others` [N]."""
        held = held.double()
        table, width = _features(held), held.shape[1]
        targets = self._logits(labels) - held[others, -1]
        penalties = torch.full((width,), self.penalty, dtype=torch.float64)
        penalties[-1] = self.bias_penalty
        return RidgeSide(ids, others, table, targets, penalties, size)

    def _logits(self, labels: torch.Tensor) -> torch.Tensor:
        return (labels - self.rate) / (self.rate * (1 - self.rate))

    def _half(
        self,
        side: RidgeSide,
        ids: torch.Tensor,
        others: torch.Tensor,
        own: torch.Tensor,
        held: torch.Tensor,
        bias_place: int,
    ) -> tuple[torch.Tensor, IntArray]:
        """Return `[factor, b, 1]` (bias place 1) or `[factor, 1, b]` per distinct pair half."""
        keys = torch.stack([ids, others * (own >= 0), own], dim=1)
        distinct, rows = distinct_keys(keys)
        ids, others, own = distinct.unbind(1)
        left_out = own >= 0
        inside = ids.clamp(max=side.size - 1)
        coefficients, counts = side.coefficients[inside], side.counts[inside]
        if self.folded is not None:
            # Only users stand beyond the end of their side.
            beyond = ids >= side.size
            places = ids[beyond] - side.size
            coefficients[beyond] = self.folded.coefficients[places]
            counts[beyond] = self.folded.counts[places]
        rest = held[others[left_out]]
        targets = self._logits(own[left_out]) - rest[:, -1]
        coefficients[left_out] = side.without(ids[left_out], _features(rest), targets)
        others_left = counts - left_out.long()
        present = (others_left > 0).double()[:, None]
        ends = [coefficients[:, -1:], torch.ones_like(present)][::bias_place]
        half = torch.cat([coefficients[:, :-1], *ends], dim=1) * present
        return half.float(), rows.numpy()


def _features(held: torch.Tensor) -> torch.Tensor:
    """Return `[factor, 1]` of `[factor, bias]`: [M, k + 1] of either."""
    return torch.cat([held[:, :-1], held.new_ones(len(held), 1)], dim=1)
