"""Which rows are in which batch: a pure function of the seed and the batch's number."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from torch.utils.data import IterableDataset

from corarec.score.batches import Batch, Examples
from corarec.train.together import share
from corarec.types import IntArray

MEGABATCH = 50
"""Batches among which pairs are sorted by length; more saves padding and costs randomness."""


class Plan(Protocol):
    """An endless series of batches."""

    def __getitem__(self, n: int) -> IntArray:
        """Return the rows of batch `n`: [B]."""


def plan_of(examples: Examples, batch_size: int, seed: int) -> Plan:
    """Return the batches of examples.

    Where these have `kinds` [N], every batch is of one kind; where they have `users` [N], some rows
    of a user stand together.
    """
    users: IntArray | None = getattr(examples, "users", None)
    if users is not None:
        together: int = getattr(examples, "rows_per_user", 1)
        return UserPlan(examples.lengths, users, together, batch_size, seed)
    kinds: IntArray | None = getattr(examples, "kinds", None)
    if kinds is None:
        return BatchPlan(examples.lengths, batch_size, seed)
    return Rounds(examples.lengths, kinds, batch_size, seed)


class BatchPlan:
    """An endless series of length-grouped batches.

    Batch `n` follows from `(seed, n)` alone, so a resumed run goes on exactly where it was. Every
    row occurs once per epoch, except
    the few that do not fill a last batch; another few in the next epoch.

    Parameters
    ----------
    lengths
        [N] the length of each row, in any unit.
    """

    def __init__(self, lengths: IntArray, batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = min(batch_size, len(lengths))
        self.seed = seed
        self.batches_per_epoch = len(lengths) // self.batch_size
        self._epoch = -1
        self._batches: IntArray = np.empty((0, 0), dtype=np.int64)

    def __getitem__(self, n: int) -> IntArray:
        """Return the rows of batch `n`: [B]."""
        epoch, position = divmod(n, self.batches_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._shuffle(epoch)
        return self._batches[position]

    def _shuffle(self, epoch: int) -> IntArray:
        random = np.random.default_rng((self.seed, epoch))
        rows = random.permutation(len(self.lengths))[: self.batches_per_epoch * self.batch_size]
        span = MEGABATCH * self.batch_size
        for first in range(0, len(rows), span):
            part = rows[first : first + span]
            rows[first : first + span] = part[np.argsort(self.lengths[part], kind="stable")]
        return random.permutation(rows.reshape(-1, self.batch_size))


class UserPlan(BatchPlan):
    """An endless series of length-grouped batches in which rows of a user stand together.

    Each epoch a user's rows are shuffled and cut into blocks of `together` rows, of which the last
    may be shorter; blocks are put into batches as `BatchPlan` does it with rows. A block may lie
    across two batches.

    Parameters
    ----------
    lengths, users
        Two of [N]: the length of each row and its user.
    """

    def __init__(
        self, lengths: IntArray, users: IntArray, together: int, batch_size: int, seed: int
    ) -> None:
        super().__init__(lengths, batch_size, seed)
        self.users = users
        self.together = together

    def _shuffle(self, epoch: int) -> IntArray:
        random = np.random.default_rng((self.seed, epoch))
        rows = random.permutation(len(self.users))
        rows = rows[np.argsort(self.users[rows], kind="stable")]
        users, places = self.users[rows], np.arange(len(rows))
        new_user = np.append(True, users[1:] != users[:-1])
        within = places - np.maximum.accumulate(np.where(new_user, places, 0))
        first = np.flatnonzero(within % self.together == 0)
        lengths = np.add.reduceat(self.lengths[rows], first) / np.diff(np.append(first, len(rows)))
        blocks = random.permutation(len(first))
        span = max(1, MEGABATCH * self.batch_size // self.together)
        for start in range(0, len(blocks), span):
            part = blocks[start : start + span]
            blocks[start : start + span] = part[np.argsort(lengths[part], kind="stable")]
        order = np.argsort(blocks)  # of each block, its place
        block_of = np.cumsum(within % self.together == 0) - 1
        rows = rows[np.argsort(order[block_of], kind="stable")]
        rows = rows[: self.batches_per_epoch * self.batch_size]
        return random.permutation(rows.reshape(-1, self.batch_size))


class Rounds:
    """An epoch of each kind of rows after the other, again and again.

    Parameters
    ----------
    lengths, kinds
        Two of [N]: the length of each row and its kind; the smallest number comes first.
    """

    def __init__(self, lengths: IntArray, kinds: IntArray, batch_size: int, seed: int) -> None:
        self._rows = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
        self._plans = [BatchPlan(lengths[rows], batch_size, seed) for rows in self._rows]
        self.batches_per_round = sum(plan.batches_per_epoch for plan in self._plans)

    def __getitem__(self, n: int) -> IntArray:
        """Return the rows of batch `n`: [B]."""
        number, position = divmod(n, self.batches_per_round)
        for rows, plan in zip(self._rows, self._plans, strict=True):
            if position < plan.batches_per_epoch:
                return rows[plan[number * plan.batches_per_epoch + position]]
            position -= plan.batches_per_epoch
        raise AssertionError("a round is as long as its parts")


class PlannedBatches(IterableDataset[Batch]):
    """The batches from number `first` on, of each the share of this process."""

    def __init__(
        self,
        examples: Examples,
        plan: Plan,
        first: int,
    ) -> None:
        self.examples = examples
        self.plan = plan
        self.first = first

    def __iter__(self) -> Iterator[Batch]:
        number = self.first
        while True:
            rows = self.plan[number]
            yield self.examples.batch(rows[share(len(rows))])
            number += 1
