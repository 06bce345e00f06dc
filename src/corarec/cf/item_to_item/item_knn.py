"""`item-knn`: the items most like those liked before, by shrunk cosine."""

from typing import ClassVar

import numpy as np
from pydantic import Field
from scipy import sparse

from corarec.cf.item_to_item.model import ItemToItem, ItemToItemConfig
from corarec.types import Config

_NUMBERS_AT_ONCE = 2**22


class ItemKNNConfig(ItemToItemConfig):
    """Item neighbours by the users that they have in common."""

    neighbours: int = Field(default=100, gt=0)
    """How many items each item is compared with: those most like it."""
    shrinkage: float = Field(default=50.0, ge=0)
    """Added to the divisor of the cosine, so that few users in common count less."""


class ItemKNN(ItemToItem):
    """Item neighbours: `W[j, i] = c_ij / (sqrt(c_i c_j) + shrinkage)`, of the most alike only.

    `c_ij` users picked both items, `c_i` the item `i`. Memory grows with the number of items times
    `neighbours`, time with the square of the number of items and of a user's picks.
    """

    name: ClassVar[str] = "item-knn"
    config_class: ClassVar[type[Config]] = ItemKNNConfig

    def __init__(self, config: ItemKNNConfig) -> None:
        super().__init__(config)
        self._options = config

    def weigh(self, picked: sparse.csr_array) -> sparse.csr_array:
        """Compare the items, some with all others at a time."""
        count = picked.shape[1]
        most = max(1, _NUMBERS_AT_ONCE // count)
        by_item = picked.T.tocsr()
        size = np.sqrt(np.diff(by_item.indptr))
        kept = [
            self._most_alike(by_item[first : first + most] @ picked, first, size)
            for first in range(0, count, most)
        ]
        # Row i holds the neighbours of i, from which the weights lead to it.
        return sparse.vstack(kept).T.tocsr().astype(np.float32)

    def _most_alike(
        self, common: sparse.csr_array, first: int, size: np.ndarray
    ) -> sparse.csr_array:
        """Return the similarities of items `first`, ... that count: [R, n]."""
        alike = common.toarray().astype(np.float64)
        alike /= np.outer(size[first : first + len(alike)], size) + self._options.shrinkage
        alike[np.arange(len(alike)), first + np.arange(len(alike))] = 0
        most = min(self._options.neighbours, alike.shape[1])
        columns = np.argpartition(-alike, most - 1, axis=1)[:, :most].ravel()
        rows = np.repeat(np.arange(len(alike)), most)
        values = alike[rows, columns]
        there = values > 0
        kept = values[there], (rows[there], columns[there])
        return sparse.csr_array(kept, shape=alike.shape)
