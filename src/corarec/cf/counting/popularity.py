"""`popularity`: how often an item was liked, all over or of late; it knows no taste."""

from copy import copy
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field

from corarec.cf.base import CFModel, not_fitted
from corarec.cf.counting.rows import KnownRows
from corarec.cf.data import FitData, TrainingPairs
from corarec.cf.feedback import Feedback, Takes
from corarec.cf.report import FitCourse, OnEpoch
from corarec.cf.vectors import VectorTable, known_ids
from corarec.data.history import NEVER_OVER
from corarec.errors import DataError
from corarec.types import Config, FloatArray, IntArray, Log, Pairs


class PopularityConfig(Config):
    """How often an item was liked; the reference that every recommender has to beat."""

    latest: float = Field(default=1.0, gt=0, le=1)
    """The share of the rows, the latest by time, over which likes are counted: 1 for all of them,
    0.2 for what is popular of late."""
    counted: Literal["likes", "rows"] = "likes"
    """`rows` counts what was not liked, too."""


class Popularity(CFModel):
    """Popularity, the same for everybody, new users included.

    The score is `log(1 + n)`, `n` how often the item was liked in the latest share of the rows that
    may be known to the pair. The vectors are `[1, 1]` of a known user and `[log(1 + n), 1]` of a
    known item.
    """

    name: ClassVar[str] = "popularity"
    config_class: ClassVar[type[Config]] = PopularityConfig

    def __init__(self, config: PopularityConfig) -> None:
        super().__init__(config)
        self._options = config
        self._rows: _Counted | None = None
        self._shown: tuple[Log, _Counted] | None = None
        self._num_users = 0
        """Users who came after the fit included."""

    @property
    def policies(self) -> tuple[str, ...]:
        """All: it counts to a moment."""
        return ("train", "snapshot", "streaming")

    @property
    def takes(self) -> Takes:
        """With `streaming` rows: counts run. Otherwise they are those of the fit."""
        streams = self.report is not None and self.report.knowledge.policy == "streaming"
        return "rows" if streams else "nothing"

    def knowing(self, feedback: Feedback) -> "Popularity":
        """Return this model for the new users, too; what they did is in the log of the pairs."""
        if self.takes != "rows":
            super().knowing(feedback)
        model = copy(self)
        model._num_users = max(self._fitted().rows.num_users, feedback.num_users)
        return model

    def extended(self, feedback: Feedback, num_items: int) -> "Popularity":
        """Return this model over more rows, users and items."""
        own, told = self._fitted().rows, feedback.rows.take(np.flatnonzero(feedback.current))
        others = ~np.isin(own.users, feedback.users)
        none = np.full(len(own), np.nan)
        before = Log(own.users, own.items, own.labels.astype(np.int64), own.times, none)
        log = before.take(np.flatnonzero(others)).joined(told)
        model = copy(self)
        sizes = max(own.num_users, feedback.num_users), max(own.num_items, num_items)
        model._rows, model._shown = self._new(log, *sizes), None
        return model

    @property
    def vector_size(self) -> int:
        """Two: the count and one."""
        return 2

    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Keep the rows; nothing is random, so the seed changes nothing.

        Raises
        ------
        DataError
            The latest rows are asked for, and the rows have no times.
        """
        times = data.train.times
        if times is None:
            if self._options.latest < 1:
                raise DataError(
                    f"latest={self._options.latest:g} asks for the latest rows, and these have no "
                    "times. Give the pairs times, or leave latest out."
                )
            times = np.zeros(len(data.train), dtype=np.int64)
        none = np.full(len(times), np.nan)
        rows = data.train.user_ids, data.train.item_ids, data.train_labels, times, none
        self._rows = self._new(Log(*rows), data.num_users, data.num_items)
        return FitCourse()

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of every pair, each count once."""
        counted = self._known(pairs)
        users, items, ranks = self._asked(counted, pairs)
        popular, known = np.log1p(self._counts(counted, items, ranks)), counted.rows
        seen_users = known.of_users.counts(users, ranks) > 0
        seen_items = known.of_items.counts(items, ranks) > 0
        user_halves = np.repeat(seen_users[:, None].astype(np.float64), 2, axis=1)
        item_halves = np.stack([popular, np.ones(len(popular))], axis=1) * seen_items[:, None]
        (users_once, user_rows), (items_once, item_rows) = map(_once, (user_halves, item_halves))
        return VectorTable(users_once, items_once, user_rows, item_rows)

    def score(self, pairs: Pairs) -> FloatArray:
        """Return `log(1 + n)` of each pair's item: [N]."""
        counted = self._known(pairs)
        _, items, ranks = self._asked(counted, pairs)
        return np.log1p(self._counts(counted, items, ranks))

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the training rows."""
        known = self._fitted().rows
        rows = np.stack([known.users, known.items, known.labels.astype(np.int64), known.times])
        sizes = torch.tensor([known.num_users, known.num_items])
        return {"rows": torch.from_numpy(rows), "sizes": sizes}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over the training rows."""
        users, items, labels, times = tensors["rows"].numpy()
        num_users, num_items = tensors["sizes"].tolist()
        log = Log(users, items, labels, times, np.full(len(users), np.nan))
        self._rows = self._new(log, num_users, num_items)

    def _counts(self, counted: "_Counted", items: IntArray, ranks: IntArray) -> FloatArray:
        """Return how often items were liked in the latest rows before moments: [Q]."""
        counts = counted.before(items, ranks)
        if self._options.latest < 1:
            # The rows of one second are in or out together.
            counts -= counted.before(items, counted.moment_of(ranks, 1 - self._options.latest))
        return counts

    def _asked(self, counted: "_Counted", pairs: Pairs) -> tuple[IntArray, IntArray, IntArray]:
        """Return users and items, 0 for the unknown, and how many moments each pair knows."""
        known, until = counted.rows, pairs.known_until
        return (
            known_ids(pairs.user_ids, known.num_users + 1),
            known_ids(pairs.item_ids, known.num_items + 1),
            known.rank(np.full(len(pairs), NEVER_OVER) if until is None else until),
        )

    def _known(self, pairs: Pairs) -> "_Counted":
        """Return the rows that may be known to pairs: those of the fit, or a log beside them."""
        own = self._fitted()
        log = pairs.log if isinstance(pairs, TrainingPairs) else None
        if log is None or pairs.known_until is None:
            return own
        if self._shown is None or self._shown[0] is not log:
            self._shown = (
                log,
                self._new(log, max(own.rows.num_users, self._num_users), own.rows.num_items),
            )
        return self._shown[1]

    def _new(self, log: Log, num_users: int, num_items: int) -> "_Counted":
        rows = KnownRows(log, num_users, num_items)
        return _Counted(rows, rows.labels if self._options.counted == "likes" else None)

    def _fitted(self) -> "_Counted":
        if self._rows is None:
            raise not_fitted(self)
        return self._rows


class _Counted:
    """Rows, each of which counts as many as `values` [N] say; None: one."""

    def __init__(self, rows: KnownRows, values: FloatArray | None) -> None:
        self.rows = rows
        self._running = rows.of_items.running(np.ones(len(rows)) if values is None else values)
        self._by_time = np.append(np.sort(rows.ranks), len(rows.moments))

    def before(self, items: IntArray, ranks: IntArray) -> FloatArray:
        """Return what the rows of each item before each moment count: [Q]."""
        of_items = self.rows.of_items
        counts: FloatArray = (
            self._running[of_items.ends(items, ranks)] - self._running[of_items.first[items]]
        )
        return counts

    def moment_of(self, ranks: IntArray, share: float) -> IntArray:
        """Return the moment when a share of the rows before each moment was over: [Q]."""
        before = np.searchsorted(self._by_time[:-1], ranks)
        return self._by_time[np.floor(before * share).astype(np.int64)]


def _once(halves: FloatArray) -> tuple[torch.Tensor, IntArray]:
    """Return the distinct vectors [R, 2] float32, and each row's place among them [N]."""
    distinct, rows = np.unique(halves, axis=0, return_inverse=True)
    return torch.from_numpy(distinct.astype(np.float32)), rows.reshape(-1)
