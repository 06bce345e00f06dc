"""Many small ridge regressions at once, and each without any one of its rows."""

from dataclasses import dataclass
from functools import cached_property

import torch

ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class RidgeSide:
    """One ridge regression per id: of `targets` on features, over the rows of that id.

    With `X` the features and `t` the targets of one id's rows and `L` the diagonal of the
    penalties, its coefficients are `(X'X + L)^-1 X't`; an id without rows has zeros.
    """

    ids: torch.Tensor
    """[N] which regression a row belongs to"""
    others: torch.Tensor
    """[N] whose features a row has: a table of them takes less than those of every row"""
    table: torch.Tensor
    """[M, f] float64"""
    targets: torch.Tensor
    """[N] float64"""
    penalties: torch.Tensor
    """[f]"""
    size: int
    """How many regressions there are."""

    @cached_property
    def counts(self) -> torch.Tensor:
        """How many rows every id has: [size]."""
        return torch.bincount(self.ids, minlength=self.size)

    @cached_property
    def inverse(self) -> torch.Tensor:
        """`(X'X + L)^-1` of every id: [size, f, f]."""
        width = self.table.shape[1]
        moments = torch.diag(self.penalties).expand(self.size, width, width).clone()
        for rows in torch.arange(len(self.ids)).split(ROWS_AT_ONCE):
            x = self.table[self.others[rows]]
            moments.index_add_(0, self.ids[rows], x[:, :, None] * x[:, None, :])
        return torch.linalg.inv(moments)

    @cached_property
    def coefficients(self) -> torch.Tensor:
        """The coefficients of every id: [size, f]."""
        sums = self.table.new_zeros(self.size, self.table.shape[1])
        for rows in torch.arange(len(self.ids)).split(ROWS_AT_ONCE):
            x = self.table[self.others[rows]]
            sums.index_add_(0, self.ids[rows], x * self.targets[rows, None])
        return (self.inverse @ sums[:, :, None]).squeeze(2)

    def without(
        self, ids: torch.Tensor, features: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        """Return the coefficients fitted without one row each: [M, f].

        Taking out the row `(x, t)` changes the coefficients `b` by
        `-(X'X + L)^-1 x (t - x'b) / (1 - x'(X'X + L)^-1 x)` (Sherman & Morrison 1950).

        Parameters
        ----------
        ids, features, targets
            [M], [M, f] and [M]: rows that took part, one per result.
        """
        results = torch.empty_like(features)
        for rows in torch.arange(len(ids)).split(ROWS_AT_ONCE):
            x, coefficients = features[rows], self.coefficients[ids[rows]]
            direction = (self.inverse[ids[rows]] @ x[:, :, None]).squeeze(2)
            error = targets[rows] - (x * coefficients).sum(1)
            leverage = (x * direction).sum(1)
            results[rows] = coefficients - direction * (error / (1 - leverage))[:, None]
        return results
