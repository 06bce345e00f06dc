"""CF models that keep one fixed vector per user and per item."""

from copy import copy
from typing import Self

import numpy as np
import torch

from corarec.cf.base import CFModel, not_fitted
from corarec.cf.feedback import Overlay
from corarec.cf.vectors import VectorTable, known_ids
from corarec.types import FloatArray, IntArray, Pairs


class TableModel(CFModel):
    """Two tables of vectors; row 0 and every row that was never trained are zero.

    An id beyond the table belongs to a user or item that came after training: unknown as well.
    """

    _users: torch.Tensor | None = None
    """[U + 1, d] float32"""
    _items: torch.Tensor | None = None
    """[I + 1, d] float32"""
    _overlay = Overlay()
    """Users who are not, or not any more, as they were fitted."""
    _folded: torch.Tensor | None = None
    """[R, d] float32: their vectors"""

    @property
    def user_table(self) -> torch.Tensor:
        """Every user's vector by id: [U + 1, d]."""
        if self._users is None:
            raise not_fitted(self)
        return self._users

    @property
    def item_table(self) -> torch.Tensor:
        """Every item's vector by id: [I + 1, d]."""
        if self._items is None:
            raise not_fitted(self)
        return self._items

    @property
    def vector_size(self) -> int:
        """`d`, the size of one user's and of one item's vector."""
        return int(self.user_table.shape[1])

    def set_tables(self, users: torch.Tensor, items: torch.Tensor) -> None:
        """Take over fitted tables.

        Raises
        ------
        ValueError
            They are not two float32 matrices of equal width.
        """
        for table in (users, items):
            if table.ndim != 2 or table.dtype != torch.float32:
                raise ValueError(f"a float32 matrix was wanted, not {table.dtype} {table.ndim}-d")
        if users.shape[1] != items.shape[1]:
            raise ValueError(f"user vectors have {users.shape[1]} numbers, items {items.shape[1]}")
        self._users, self._items = users, items

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of every pair, each user's and item's once."""
        users, user_rows = np.unique(self._user_places(pairs), return_inverse=True)
        items, item_rows = np.unique(
            known_ids(pairs.item_ids, len(self.item_table)), return_inverse=True
        )
        return VectorTable(
            self._users_at(users),
            self.item_table[torch.from_numpy(items)],
            user_rows,
            item_rows,
        )

    def score(self, pairs: Pairs) -> FloatArray:
        """Return the dot product of the user's and the item's vector: [N] logits."""
        users, items = self.halves(pairs)
        return (users * items).sum(1).numpy().astype(np.float64)

    def halves(self, pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the user and the item vectors of the pairs: two of [N, d]."""
        items = torch.from_numpy(known_ids(pairs.item_ids, len(self.item_table)))
        return self._users_at(self._user_places(pairs)), self.item_table[items]

    def with_users(self, users: IntArray, vectors: torch.Tensor) -> Self:
        """Return this model with other vectors [R, d] of some users [R], ascending."""
        model = copy(self)
        model._overlay, model._folded = Overlay(users), vectors
        return model

    def _user_places(self, pairs: Pairs) -> IntArray:
        size = len(self.user_table)
        known = known_ids(pairs.user_ids, size)
        return self._overlay.places(pairs.user_ids, size) if self._folded is not None else known

    def _users_at(self, places: IntArray) -> torch.Tensor:
        size, rows = len(self.user_table), torch.from_numpy(places)
        if self._folded is None:
            return self.user_table[rows]
        vectors = self.user_table[rows.clamp(max=size - 1)]
        folded = rows >= size
        vectors[folded] = self._folded[rows[folded] - size]
        return vectors

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return both tables."""
        return {"users": self.user_table, "items": self.item_table}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over both tables."""
        self.set_tables(tensors["users"], tensors["items"])
