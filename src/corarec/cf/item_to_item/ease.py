"""`ease`: a linear autoencoder over items in closed form (Steck 2019)."""

from typing import ClassVar

import numpy as np
from pydantic import Field
from scipy import sparse
from scipy.linalg import lapack

from corarec.cf.item_to_item.model import ItemToItem, ItemToItemConfig
from corarec.errors import ConfigError, TrainingError
from corarec.types import Config, FloatArray

_ITEMS_AT_ONCE = 512


class EASEConfig(ItemToItemConfig):
    """Item weights in closed form, made for ranking what people pick (arXiv 1905.03375)."""

    penalty: float = Field(default=500.0, gt=0)
    """The ridge penalty on the weights."""
    max_items: int = Field(default=20_000, gt=0)
    """More items than this are refused: memory grows with the square of their number (12 bytes each
    while fitting, 4 afterwards, so 4.8 GB and 1.6 GB for 20,000) and time with the third power."""


class EASE(ItemToItem):
    """EASE: the weights `B` with a zero diagonal for which `X B` is closest to `X`.

    With `G = X'X + penalty I` and `P` its inverse, `B[i, j] = -P[i, j] / P[j, j]`.
    """

    name: ClassVar[str] = "ease"
    config_class: ClassVar[type[Config]] = EASEConfig

    def __init__(self, config: EASEConfig) -> None:
        super().__init__(config)
        self._options = config

    def weigh(self, picked: sparse.csr_array) -> FloatArray:
        """Invert the items' co-occurrences.

        Raises
        ------
        ConfigError
            There are more items than `max_items`.
        TrainingError
            The co-occurrences have no inverse at this penalty.
        """
        count, most = picked.shape[1], self._options.max_items
        if count > most:
            raise ConfigError(
                f"EASE inverts a matrix of {count:,} x {count:,} items, which takes "
                f"{12e-9 * count**2:,.1f} GB, and max_items is {most:,}. Raise max_items if the "
                "memory is there, or choose item-knn, whose memory grows with the rows."
            )
        gram = np.empty((count, count), order="F")
        by_item = picked.T.tocsr()
        for columns in _blocks(count):
            # The counts are whole and the matrix is symmetric: rows of it are its columns.
            gram[:, columns] = (by_item[columns] @ picked).toarray().T
        gram.flat[:: count + 1] += self._options.penalty
        factor, failed = lapack.dpotrf(gram, lower=1, overwrite_a=1)
        if not failed:
            inverse, failed = lapack.dpotri(factor, lower=1, overwrite_c=1)
        if failed:
            raise TrainingError(
                f"The co-occurrences of {count:,} items have no inverse with a penalty of "
                f"{self._options.penalty:g}. Raise it."
            )
        scale = -1 / np.diagonal(inverse).copy()
        # Only the lower half was computed; the upper is its mirror.
        weights = np.zeros((count, count), np.float32)
        for columns in _blocks(count):
            low = np.tril(inverse[columns.start :, columns], -1).astype(np.float32)
            weights[columns.start :, columns] += low
            weights[columns, columns.start :] += low.T
        weights *= scale.astype(np.float32)
        return weights


def _blocks(count: int) -> list[slice]:
    return [slice(first, first + _ITEMS_AT_ONCE) for first in range(0, count, _ITEMS_AT_ONCE)]
