"""Models that score an item by its weights from the items that the user liked before."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from corarec.arrays import distinct
from corarec.cf.base import CFModel, not_fitted
from corarec.cf.data import FitData
from corarec.cf.feedback import Takes
from corarec.cf.ranges import chunks, flat
from corarec.cf.report import FitCourse, OnEpoch, auc
from corarec.cf.vectors import VectorTable, known_ids
from corarec.types import Config, FloatArray, Histories, IntArray, Pairs

_NUMBERS_AT_ONCE = 2**22
_ROWS_OF_AUC = 50_000


class ItemToItemConfig(Config):
    """Weights between items."""

    feedback: Literal["likes", "rows"] = "likes"
    """What says that a user picked an item: `likes`, or all `rows`, those not liked as well."""
    embedding_size: int = Field(default=64, gt=0)
    """Size of the vectors that a second stage reads; the score does without them."""


class ItemToItem(CFModel):
    """Weights `W` between items: the score of item `i` is the sum of `W[j, i]` over the history.

    No user id enters, so a new user with a history is served as any other; one without a history
    has the same score for every item. Only items of training rows have weights.

    The score is exact; the vectors are the largest `embedding_size` singular directions of `W`, the
    user's the sum over the history. A training row's own pair took part in `W`, so to a second
    stage these vectors know more of training rows than of new ones.
    """

    def __init__(self, config: ItemToItemConfig) -> None:
        super().__init__(config)
        self._choices = config
        self._weights: FloatArray | sparse.csr_array | None = None
        self._places: IntArray = np.zeros(1, dtype=np.int64)
        self._sources: torch.Tensor = torch.zeros(1, config.embedding_size)
        self._targets: torch.Tensor = torch.zeros(1, config.embedding_size)

    @abstractmethod
    def weigh(self, picked: sparse.csr_array) -> FloatArray | sparse.csr_array:
        """Return the weights of what users picked: [U, n] of 0 and 1 to [n, n] float32.

        Raises
        ------
        ConfigError
            There are too many items.
        """

    @property
    def vector_size(self) -> int:
        """`d`, the embedding size."""
        return self._choices.embedding_size

    @property
    def takes(self) -> Takes:
        """The history of each pair is all that it reads."""
        return "history"

    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Weigh the items in one pass; the seed is that of the vectors' decomposition."""
        chosen = data.train_labels == 1
        if self._choices.feedback == "rows":
            chosen = np.ones(len(data.train), dtype=np.bool_)
        items = data.train.item_ids[chosen]
        self._places = _places(distinct(items[items > 0]), data.num_items)
        shape = (data.num_users + 1, int(self._places.max()))
        picked = _ones(data.train.user_ids[chosen], self._places[items], shape)
        self._weights = self.weigh(picked)
        self._sources, self._targets = _factors(self._weights, self.vector_size, seed)
        # A sample: a row's score takes as many steps as its history is long.
        rows = np.unique(np.linspace(0, len(data.train) - 1, _ROWS_OF_AUC).astype(np.int64))
        labels = data.train_labels[rows]
        if len(np.unique(labels)) < 2:
            return FitCourse()
        return FitCourse(train_auc=auc(labels, self.score(data.train.take(rows))))

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of every pair, one user vector per distinct history."""
        self._fitted()
        asked = self._asked(pairs)
        users = np.zeros((len(asked.spans), self.vector_size), dtype=np.float32)
        for chunk in chunks(asked.lengths, _NUMBERS_AT_ONCE):
            users[chunk] = self._picked(asked.spans[chunk], asked.lists) @ self._sources.numpy()[1:]
        items, item_rows = np.unique(asked.items, return_inverse=True)
        return VectorTable(torch.from_numpy(users), self._targets[items], asked.rows, item_rows)

    def score(self, pairs: Pairs) -> FloatArray:
        """Return the sum of the weights from the history to the item: [N]; larger is better."""
        weights, asked = self._fitted(), self._asked(pairs)
        scores = np.zeros(len(pairs))
        known = np.flatnonzero(asked.items > 0)
        known = known[np.argsort(asked.rows[known], kind="stable")]
        items, rows = asked.items[known] - 1, asked.rows[known]
        lengths = asked.lengths[rows]
        if lengths.sum() < asked.lengths.sum() * weights.shape[1]:
            by_item = None if isinstance(weights, np.ndarray) else weights.T.tocsr()
            for chunk in chunks(lengths, _NUMBERS_AT_ONCE):
                picked = self._picked(asked.spans[rows[chunk]], asked.lists)
                if by_item is not None:
                    scores[known[chunk]] = picked.multiply(by_item[items[chunk]]).sum(axis=1)
                    continue
                owners = np.repeat(np.arange(len(chunk)), np.diff(picked.indptr))
                values = weights[picked.indices, items[chunk][owners]]
                scores[known[chunk]] = np.bincount(owners, values, len(chunk))
            return scores
        # Many items of few histories, as when a catalogue is ranked: all scores of each history.
        most = max(1, _NUMBERS_AT_ONCE // weights.shape[1])
        for first in range(0, len(asked.spans), most):
            product = self._picked(asked.spans[first : first + most], asked.lists) @ weights
            table = product.toarray() if sparse.issparse(product) else product
            within = slice(*np.searchsorted(rows, [first, first + most]))
            scores[known[within]] = table[rows[within] - first, items[within]]
        return scores

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the items that have weights, the weights and the factors of the vectors."""
        weights = self._fitted()
        parts = {"weights": weights}
        if not isinstance(weights, np.ndarray):
            parts = {
                "weights": weights.data,
                "columns": weights.indices.astype(np.int64),
                "starts": weights.indptr.astype(np.int64),
            }
        tensors = {name: torch.from_numpy(values) for name, values in parts.items()}
        places = torch.from_numpy(self._places)
        return {**tensors, "places": places, "sources": self._sources, "targets": self._targets}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over all of it."""
        self._places = tensors["places"].numpy()
        size = int(self._places.max())
        weights = tensors["weights"].numpy()
        if "starts" in tensors:
            rows = (weights, tensors["columns"].numpy(), tensors["starts"].numpy())
            weights = sparse.csr_array(rows, shape=(size, size))
        self._sources, self._targets = tensors["sources"], tensors["targets"]
        wanted = (size + 1, self.vector_size)
        if weights.shape != (size, size) or {self._sources.shape, self._targets.shape} != {wanted}:
            raise ValueError(f"weights and factors are not those of {size} items")
        self._weights = weights

    def _asked(self, pairs: Pairs) -> "_Asked":
        known_ids(pairs.user_ids, 1)  # only to refuse what is no id
        seen = [pairs.histories]
        if self._choices.feedback == "rows" and pairs.disliked is not None:
            seen.append(pairs.disliked)
        spans = np.stack([side for each in seen for side in _ends(each)], axis=1)
        keys = np.zeros(len(pairs), dtype=np.int64)
        for column in spans.T:
            _, numbers = np.unique(column, return_inverse=True)
            _, keys = np.unique(keys * (numbers.max(initial=0) + 1) + numbers, return_inverse=True)
        _, first, rows = np.unique(keys, return_index=True, return_inverse=True)
        items = self._places[known_ids(pairs.item_ids, len(self._places))]
        return _Asked(spans[first], rows, items, [each.liked_items for each in seen])

    def _picked(self, spans: IntArray, lists: list[IntArray]) -> sparse.csr_array:
        """Return the items of histories that have weights, as rows of 0 and 1: [G, n]."""
        owners, items = [], []
        for number, each in enumerate(lists):
            positions, owner = flat(spans[:, 2 * number], spans[:, 2 * number + 1])
            owners.append(owner)
            items.append(each[positions])
        owner = np.concatenate(owners)
        place = self._places[known_ids(np.concatenate(items), len(self._places))]
        shape = (len(spans), int(self._places.max()))
        return _ones(owner[place > 0], place[place > 0], shape)

    def _fitted(self) -> FloatArray | sparse.csr_array:
        if self._weights is None:
            raise not_fitted(self)
        return self._weights


@dataclass(frozen=True)
class _Asked:
    """Pairs, each distinct history once."""

    spans: IntArray
    """[G, 2 L] first place and one past the last of each distinct history, in each list"""
    rows: IntArray
    """[N] which of them each pair has"""
    items: IntArray
    """[N] the places of the items, 0 for one without weights"""
    lists: list[IntArray]
    """the items that histories are of: those liked and, where they count, the others"""

    @property
    def lengths(self) -> IntArray:
        """How many items each distinct history has: [G]."""
        return np.asarray((self.spans[:, 1::2] - self.spans[:, ::2]).sum(axis=1))


def _ends(histories: Histories) -> tuple[IntArray, IntArray]:
    """Return the first place and one past the last of each history, all empty ones the same."""
    there = histories.start < histories.end
    return np.where(there, histories.start, 0), np.where(there, histories.end, 0)


def _places(items: IntArray, num_items: int) -> IntArray:
    """Return the place of each item among those with weights, from 1; 0 for others: [I + 1]."""
    places = np.zeros(num_items + 1, dtype=np.int64)
    places[items] = np.arange(1, len(items) + 1)
    return places


def _ones(rows: IntArray, places: IntArray, shape: tuple[int, int]) -> sparse.csr_array:
    """Return 1 at each row and place (from 1), however often it came: float32."""
    found = sparse.csr_array((np.ones(len(rows), np.float32), (rows, places - 1)), shape=shape)
    found.sum_duplicates()
    found.data[:] = 1
    return found


def _factors(
    weights: FloatArray | sparse.csr_array, size: int, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two of [n + 1, size], row 0 zero, whose product is near the weights."""
    count = min(size, weights.shape[0])
    left, values, right = randomized_svd(weights, count, random_state=seed)
    halves = []
    for vectors in (left, right.T):
        half = torch.zeros(weights.shape[0] + 1, size)
        half[1:, :count] = torch.from_numpy(np.ascontiguousarray(vectors * np.sqrt(values)))
        halves.append(half)
    return halves[0], halves[1]
