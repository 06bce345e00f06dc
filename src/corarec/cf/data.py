"""The rows a CF model is fitted on, checked once."""

from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import polars as pl

from corarec.data.history import KnowledgePolicy
from corarec.data.vocabulary import Vocabulary
from corarec.errors import DataError
from corarec.types import Fingerprint, FloatArray, IntArray, Log, Pairs


@dataclass(frozen=True, kw_only=True, repr=False)
class TrainingPairs(Pairs):
    """Pairs with the labels by which they took part in the fit.

    Only models that leave a pair's own label out of its vectors look at them; nothing outside the
    CF models is ever handed such pairs.
    """

    own_labels: FloatArray
    """[N] 0 or 1, NaN where the pair took no part."""
    log: Log | None = None
    """The rows whose labels may be known, each pair's as far as its `known_until`; None: those that
    the model keeps itself."""

    def take(self, rows: IntArray | slice) -> Self:
        """Keep the pairs at `rows`."""
        return replace(super().take(rows), own_labels=self.own_labels[rows])

    @classmethod
    def of(cls, pairs: Pairs, own_labels: FloatArray, log: Log | None = None) -> Self:
        """Put the own labels ([N], NaN for none) beside the pairs, and what may be known."""
        return cls(
            user_ids=pairs.user_ids,
            item_ids=pairs.item_ids,
            histories=pairs.histories,
            rows=pairs.rows,
            times=pairs.times,
            known_until=pairs.known_until,
            own_labels=own_labels,
            log=log,
        )


@dataclass(frozen=True)
class FitData:
    """Training and validation rows with their labels.

    Raises
    ------
    DataError
        Labels and pairs differ in number, a label is not 0 or 1, a split is empty or has one class
        only, or an id lies outside 0..U (users) or 0..I (items).
    """

    train: Pairs
    train_labels: IntArray
    """[N] 0 or 1"""
    valid: Pairs
    valid_labels: IntArray
    """[M] 0 or 1"""
    num_users: int
    """U, the largest user id."""
    num_items: int
    """I, the largest item id."""
    users: Vocabulary | None = None
    """Users by the ids of the source; needed only by vectors imported by raw id."""
    items: Vocabulary | None = None
    """The same for items."""
    fingerprint: Fingerprint | None = None
    """Which dataset the rows are of; a model remembers it."""
    policy: KnowledgePolicy = field(default_factory=KnowledgePolicy)
    """Which labels a row may see."""
    log: Log | None = None
    """The rows whose labels may be known under the policy, where the rows have times."""
    earlier: Log | None = None
    """Rows from before train, where the dataset keeps them."""
    train_stars: FloatArray | None = None
    """[N] the ratings of the training rows, NaN where the source has none."""
    item_table: pl.DataFrame | None = None
    """[I] what the source tells of items 1..I: `title` and more."""

    def __repr__(self) -> str:
        return (
            f"FitData({len(self.train):,} training and {len(self.valid):,} validation rows, "
            f"{self.num_users:,} users, {self.num_items:,} items)"
        )

    def __post_init__(self) -> None:
        self._check("training", self.train, self.train_labels)
        self._check("validation", self.valid, self.valid_labels)

    def _check(self, split: str, pairs: Pairs, labels: IntArray) -> None:
        if len(pairs) != len(labels):
            raise DataError(f"The {split} split has {len(pairs)} pairs but {len(labels)} labels.")
        if len(pairs) == 0:
            raise DataError(f"The {split} split is empty. Choose a split that leaves rows in it.")
        if wrong := set(np.unique(labels).tolist()) - {0, 1}:
            raise DataError(
                f"The {split} labels must be 0 or 1, but {sorted(wrong)[0]} occurs. "
                "Turn ratings into labels with a threshold first."
            )
        if labels.min() == labels.max():
            raise DataError(
                f"All {len(labels)} {split} labels are {labels[0]}: a CF model needs both classes. "
                "Choose another rating threshold, or let `prepare` sample negatives."
            )
        for noun, ids, largest in (
            ("user", pairs.user_ids, self.num_users),
            ("item", pairs.item_ids, self.num_items),
            ("liked item", pairs.histories.liked_items, self.num_items),
        ):
            outside = np.flatnonzero((ids < 0) | (ids > largest))
            if len(outside):
                raise DataError(
                    f"{split.capitalize()} row {outside[0]} has {noun} id {ids[outside[0]]}, "
                    f"but ids run from 0 to {largest}."
                )


def own_labels(pairs: Pairs) -> IntArray:
    """Return the label with which each pair took part in training, -1 where it did not: [N]."""
    if not isinstance(pairs, TrainingPairs):
        return np.full(len(pairs), -1, dtype=np.int64)
    return np.where(np.isnan(pairs.own_labels), -1, pairs.own_labels).astype(np.int64)
