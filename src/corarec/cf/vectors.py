"""`VectorTable`, what every CF model makes of a table of pairs; ids as rows, halves as scores."""

from dataclasses import dataclass

import numpy as np
import torch

from corarec.errors import DataError
from corarec.types import PADDING_ID, FloatArray, IntArray


@dataclass(frozen=True)
class VectorFamily:
    """Numbers of a model's vectors that belong together, by their places in the three parts."""

    name: str
    user: tuple[int, ...] = ()
    item: tuple[int, ...] = ()
    match: tuple[int, ...] = ()


@dataclass(frozen=True)
class VectorTable:
    """The CF vectors of a table of pairs, each distinct vector kept once.

    Pair `n` has the user vector `users[user_rows[n]]` and the item vector `items[item_rows[n]]`.
    A vector-per-user model has one row per user; a sequence model has one row per distinct
    (user, history), so that a user vector belongs to the pair. Unknown users and items have zeros.
    """

    users: torch.Tensor
    """[R, d] float32"""
    items: torch.Tensor
    """[S, d] float32"""
    user_rows: IntArray
    """[N]"""
    item_rows: IntArray
    """[N]"""
    matches: torch.Tensor | None = None
    """[N, p] float32: what is known of user and item together, 0 for nothing; None where the model
    has no such part"""

    def __repr__(self) -> str:
        return f"VectorTable({len(self):,} pairs, {self.vector_size} numbers each)"

    def __len__(self) -> int:
        return len(self.user_rows)

    @property
    def vector_size(self) -> int:
        """`d`, the size of one user's or one item's vector."""
        return int(self.users.shape[1])

    @property
    def match_size(self) -> int:
        """`p`, how many numbers there are of user and item together."""
        return 0 if self.matches is None else int(self.matches.shape[1])

    def lookup(self, rows: IntArray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the user and the item vectors of the pairs at `rows`: two of [B, d]."""
        return (
            self.users[torch.from_numpy(self.user_rows[rows])],
            self.items[torch.from_numpy(self.item_rows[rows])],
        )


def known_ids(ids: IntArray, size: int) -> IntArray:
    """Map ids outside a table of `size` rows to the unknown id.

    Raises
    ------
    DataError
        An id is negative.
    """
    if len(ids) and ids.min() < 0:
        row = int(np.argmin(ids))
        raise DataError(f"Row {row} has the id {ids[row]}; ids count from 1, and 0 is unknown.")
    return np.where(ids < size, ids, PADDING_ID)


def biased_product(users: torch.Tensor, items: torch.Tensor) -> FloatArray:
    """Return `p . q + b_u + b_i` of user halves `[p, b_u, 1]` and item halves `[q, 1, b_i]`: [N].

    The plain product loses the known half's bias where the other half, its 1 included, is zero.
    """
    products = (users * items).sum(1)
    lost = (1 - items[:, -2]) * users[:, -2] + (1 - users[:, -1]) * items[:, -1]
    return (products + lost).numpy().astype(np.float64)


def inverse_rms(vectors: torch.Tensor) -> torch.Tensor:
    """Return what brings the numbers of vectors [R, d] to a root mean square of one: a scalar.

    Zero vectors, which belong to the unknown, do not count; without others it is 1.
    """
    known = vectors[vectors.abs().sum(dim=1) > 0]
    return torch.ones(()) if len(known) == 0 else 1 / known.square().mean().sqrt()
