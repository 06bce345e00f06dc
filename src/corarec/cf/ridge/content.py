"""`content`: what genres and years foretell, for everybody and for each user by their own ridge."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field

from corarec.cf.base import CFModel, not_fitted
from corarec.cf.data import FitData, own_labels
from corarec.cf.report import FitCourse, OnEpoch
from corarec.cf.ridge.own_rows import check_rows, distinct_keys
from corarec.cf.ridge.regressions import RidgeSide
from corarec.cf.statistics.content import content_of
from corarec.cf.vectors import VectorTable, known_ids
from corarec.types import Config, FloatArray, Pairs

RowOf = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
"""Of ids, those of the other side and labels, [N] each: features [N, f] and targets [N]."""


class ContentConfig(Config):
    """Ridge regressions on genres and years, a pair's own row left out."""

    genres: str | None = None
    """The column of the items' table with the genres, a list or text parted by `|` or `,`; None:
    the first of genres, genre, categories, category and main_category that is there."""
    penalty: float = Field(default=20.0, gt=0)
    """On the weights of a user's taste."""
    bias_penalty: float = Field(default=3.0, gt=0)
    """On the biases of users and items: as if so many rows at the expected rate were added."""
    general_penalty: float = Field(default=10.0, gt=0)
    """On the weights that all users share."""


@dataclass(frozen=True)
class _Fitted:
    """All regressions follow from the training rows and from what was settled before them."""

    rows: torch.Tensor
    """[N, 3] user, item, label"""
    content: torch.Tensor
    """[I + 1, c] float64"""
    general: torch.Tensor
    """[I + 1] what the content of each item foretells for everybody"""
    first_biases: torch.Tensor
    """[U + 1] of the users, by which the others are measured"""
    penalty: float
    bias_penalty: float

    @cached_property
    def rate(self) -> float:
        """`m`, the share of liked training rows."""
        return float(self.rows[:, 2].double().mean())

    @cached_property
    def item_side(self) -> RidgeSide:
        """The regressions that give `[b_i]`."""
        users, items, labels = self.rows.T
        table = torch.ones(len(self.first_biases), 1, dtype=torch.float64)
        targets = self._left_of_item(items, users, labels)
        penalties = torch.full((1,), self.bias_penalty, dtype=torch.float64)
        return RidgeSide(items, users, table, targets, penalties, len(self.content))

    @cached_property
    def user_side(self) -> RidgeSide:
        """The regressions that give `[p, b_u]`."""
        users, items, labels = self.rows.T
        table = self._of_content(torch.arange(len(self.content)))
        targets = self._left_of_user(items, labels)
        penalties = torch.full((table.shape[1],), self.penalty, dtype=torch.float64)
        penalties[-1] = self.bias_penalty
        return RidgeSide(users, items, table, targets, penalties, len(self.first_biases))

    def of_item(
        self, items: torch.Tensor, users: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what rows of an item say: features [1] and targets."""
        ones = torch.ones(len(items), 1, dtype=torch.float64)
        return ones, self._left_of_item(items, users, labels)

    def of_user(
        self, users: torch.Tensor, items: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what rows of a user say: features [c, 1] and targets."""
        return self._of_content(items), self._left_of_user(items, labels)

    def _left_of_item(
        self, items: torch.Tensor, users: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        return logits_of(labels, self.rate) - self.first_biases[users] - self.general[items]

    def _left_of_user(self, items: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        biases = self.item_side.coefficients[items, 0]
        return logits_of(labels, self.rate) - self.general[items] - biases

    def _of_content(self, items: torch.Tensor) -> torch.Tensor:
        ones = torch.ones(len(items), 1, dtype=torch.float64)
        return torch.cat([self.content[items], ones], dim=1)


class Content(CFModel):
    """Ridge regressions on the content of items (genres, bins of the year, year).

    The label becomes a linearised logit `z = (y - m) / (m (1 - m))`, `m` the global rate, and the
    score is `logit(m) + b_u + g_i + b_i + p . c_i`: the user's bias, what the item's content `c`
    foretells for everybody (`g`), the item's own bias, and the user's taste `p` in content. For an
    item without a training row `g_i` and `p . c_i` are left: what genres and years tell of it.

    The user half is `[p, b_u, 1]`, the item half `[c_i, 1, b_i]`; `p . c_i` and `g_i` are the match
    of the pair, since the item half of an item without a training row is zero. Where a pair is
    itself a training row, `p`, `b_u` and `b_i` are the regressions without that row.
    """

    name: ClassVar[str] = "content"
    config_class: ClassVar[type[Config]] = ContentConfig

    def __init__(self, config: ContentConfig) -> None:
        super().__init__(config)
        self._options = config
        self._state: _Fitted | None = None

    @property
    def vector_size(self) -> int:
        """How many numbers the content has, and two for the biases."""
        return int(self._fitted().content.shape[1]) + 2

    @property
    def match_size(self) -> int:
        """Two: what the user's taste and everybody's say of the item."""
        return 2

    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Regress; nothing is random, and it takes seconds.

        Raises
        ------
        ConfigError
            A column of genres was named that is not there.
        """
        options = self._options
        content = torch.from_numpy(content_of(data.item_table, options.genres, data.num_items))
        columns = (data.train.user_ids, data.train.item_ids, data.train_labels)
        rows = torch.from_numpy(np.stack(columns, axis=1))
        users, items, labels = rows.T
        targets = logits_of(labels, float(labels.double().mean()))
        count = torch.bincount(users, minlength=data.num_users + 1)
        sums = torch.zeros(data.num_users + 1, dtype=torch.float64).index_add_(0, users, targets)
        first_biases = sums / (count + options.bias_penalty)
        left = torch.zeros(len(content), dtype=torch.float64)
        left.index_add_(0, items, targets - first_biases[users])
        of_items = torch.bincount(items, minlength=len(content)).double()
        moments = content.T @ (content * of_items[:, None])
        moments += options.general_penalty * torch.eye(content.shape[1], dtype=torch.float64)
        general = content @ torch.linalg.solve(moments, content.T @ left)
        self._state = self._new(rows, content, general, first_biases)
        return FitCourse()

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of every pair; a training row has halves of its own.

        Raises
        ------
        DataError
            A pair is marked as a training row that the model was not fitted on.
        """
        fitted = self._fitted()
        users, items, own = self._ids(pairs)
        tastes, user_rows = _half(fitted.user_side, users, items, own, fitted.of_user)
        biases, item_rows = _half(fitted.item_side, items, users, own, fitted.of_item)
        known_items = biases[:, -1:]
        item_of = torch.zeros(len(biases), dtype=torch.int64)
        item_of[item_rows] = items
        content = fitted.content[item_of] * known_items
        item_half = torch.cat([content, known_items, biases[:, :1]], dim=1)
        agreement = (tastes[user_rows, :-2] * fitted.content[items]).sum(1)
        matches = torch.stack([agreement, fitted.general[items]], dim=1)
        return VectorTable(
            tastes.float(),
            item_half.float(),
            user_rows.numpy(),
            item_rows.numpy(),
            matches.float(),
        )

    def score(self, pairs: Pairs) -> FloatArray:
        """Return `logit(m) + b_u + g_i + b_i + p . c_i`: [N]; a training row left out."""
        table = self.vector_table(pairs)
        users, items = table.lookup(np.arange(len(pairs)))
        assert table.matches is not None
        rate = self._fitted().rate
        total = users[:, -2].double() + items[:, -1].double() + table.matches.double().sum(1)
        return np.asarray(total.numpy() + np.log(rate / (1 - rate)))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the training rows, the content, and what was settled before the regressions."""
        fitted = self._fitted()
        return {
            "rows": fitted.rows,
            "content": fitted.content,
            "general": fitted.general,
            "first_biases": fitted.first_biases,
        }

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over all of it."""
        rows, content = tensors["rows"], tensors["content"]
        general, biases = tensors["general"], tensors["first_biases"]
        if rows.ndim != 2 or rows.shape[1] != 3 or general.shape != content.shape[:1]:
            raise ValueError("rows of (user, item, label) and content of all items are wanted")
        if rows[:, 0].max() >= len(biases) or rows[:, 1].max() >= len(content):
            raise ValueError("a row is of a user or item that is not there")
        self._state = self._new(rows, content, general, biases)

    def _new(
        self,
        rows: torch.Tensor,
        content: torch.Tensor,
        general: torch.Tensor,
        first_biases: torch.Tensor,
    ) -> _Fitted:
        penalties = self._options.penalty, self._options.bias_penalty
        return _Fitted(rows, content, general, first_biases, *penalties)

    def _ids(self, pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        fitted = self._fitted()
        users = torch.from_numpy(known_ids(pairs.user_ids, len(fitted.first_biases)))
        items = torch.from_numpy(known_ids(pairs.item_ids, len(fitted.content)))
        own = torch.from_numpy(own_labels(pairs))
        check_rows(fitted.rows, users, items, own, len(fitted.content))
        return users, items, own

    def _fitted(self) -> _Fitted:
        if self._state is None:
            raise not_fitted(self)
        return self._state


def logits_of(labels: torch.Tensor, rate: float) -> torch.Tensor:
    """Return the linearised logits of labels: [N] float64."""
    return (labels.double() - rate) / (rate * (1 - rate))


def _half(
    side: RidgeSide,
    ids: torch.Tensor,
    others: torch.Tensor,
    own: torch.Tensor,
    row_of: RowOf,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the coefficients and, as last column, whether they have a row: [R, f + 1].

    Each distinct one is kept once; with them comes each pair's place among them: [N].
    """
    keys = torch.stack([ids, others * (own >= 0), own], dim=1)
    distinct, places = distinct_keys(keys)
    ids, others, own = distinct.unbind(1)
    left_out = own >= 0
    coefficients = side.coefficients[ids]
    rows = row_of(ids[left_out], others[left_out], own[left_out])
    coefficients[left_out] = side.without(ids[left_out], *rows)
    left = torch.bincount(side.ids, minlength=side.size)[ids] - left_out.long()
    present = (left > 0).double()[:, None]
    return torch.cat([coefficients * present, present], dim=1), places
