"""Cross-entropy over a whole catalogue, a piece of the rows at a time."""

from typing import Any

import torch
from torch.autograd.function import once_differentiable

NUMBERS_AT_ONCE = 2**20
"""Logits held at a time: 4 MB, which a processor's cache holds."""


def catalogue_cross_entropy(
    states: torch.Tensor, table: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Return the mean cross-entropy of rows of a table, whose logits are inner products.

    Gradients are computed on the way, so that the logits of all rows are never held at once:
    memory is that of `NUMBERS_AT_ONCE` logits and of the gradients themselves.

    Parameters
    ----------
    states
        [N, d], at least one
    table
        [K, d]
    targets
        [N] which row of the table is right.
    """
    loss: torch.Tensor = _CatalogueCrossEntropy.apply(states, table, targets)
    return loss


class _CatalogueCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, states: torch.Tensor, table: torch.Tensor, targets: torch.Tensor
    ) -> torch.Tensor:
        count = len(states)
        size = max(1, min(count, NUMBERS_AT_ONCE // len(table)))
        held = states.new_empty(size, len(table))
        of_states, of_table = torch.empty_like(states), torch.zeros_like(table)
        total = states.new_zeros(())
        for rows in torch.arange(count).split(size):
            some, right = states[rows], targets[rows, None]
            logits = torch.mm(some, table.T, out=held[: len(rows)])
            logits -= logits.amax(1, keepdim=True)
            total -= logits.gather(1, right).sum()
            sums = logits.exp_().sum(1, keepdim=True)
            total += sums.log().sum()
            # What is left of the logits is their gradient.
            logits /= sums * count
            logits.scatter_add_(1, right, logits.new_full(right.shape, -1 / count))
            of_states[rows] = logits @ table
            of_table.addmm_(logits.T, some)
        ctx.save_for_backward(of_states, of_table)
        return total / count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        of_states, of_table = ctx.saved_tensors
        return of_states * gradient, of_table * gradient, None
