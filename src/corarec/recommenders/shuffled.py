"""A control: users that have each other's CF vectors and scores."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from corarec.cf import VectorTable
from corarec.recommenders.vectors import PairSource
from corarec.types import FloatArray, Pairs


class ShuffledUsers:
    """A control: a CF model with another user in place of each, the same one for all pairs.

    A donor is a user of the training pairs, as it was at its last of them, so that a sequence model
    reads the donor's history. Users and items that the CF model does not know stay unknown.
    """

    def __init__(self, cf: PairSource, train_pairs: Pairs, seed: int) -> None:
        self._cf = cf
        users, reversed_rows = np.unique(train_pairs.user_ids[::-1], return_index=True)
        self._train_pairs = train_pairs
        self._last_rows = len(train_pairs) - 1 - reversed_rows
        random = np.random.default_rng(seed)
        # Whoever is no user of the training pairs has a donor, too: it may have a history.
        self._donors = random.integers(0, len(users), int(users.max()) + 1)
        self._donors[users] = random.permutation(len(users))

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of the pairs' items and of the donors."""
        donated = self._cf.vector_table(self.donors(pairs.for_cf))
        return applied(self._cf.vector_table(pairs), donated)

    def score(self, pairs: Pairs) -> FloatArray:
        """Return the CF model's own scores of the donors with the pairs' items: [N]."""
        donated = self._cf.score(self.donors(pairs.for_cf))
        strangers = strangers_of(self._cf.vector_table(pairs))
        return np.where(strangers, self._cf.score(pairs), donated)

    def donors(self, pairs: Pairs) -> Pairs:
        """Return the donors of the pairs' users in place of them, with the pairs' items: [N]."""
        donors = self._donors[pairs.user_ids % len(self._donors)]
        donating = self._train_pairs.take(self._last_rows[donors])
        return replace(donating, rows=None, item_ids=pairs.item_ids)


def strangers_of(table: VectorTable) -> npt.NDArray[np.bool_]:
    """Return of which pairs nothing is known of the user: [N]."""
    unknown = (table.users == 0).all(dim=1).numpy()
    return np.asarray(unknown[table.user_rows])


def applied(table: VectorTable, donated: VectorTable) -> VectorTable:
    """Return the items of `table` with the users of `donated`, strangers left strangers."""
    stranger = strangers_of(table)
    users = torch.cat([torch.zeros(1, table.vector_size), donated.users])
    user_rows = np.where(stranger, 0, donated.user_rows + 1)
    matches = donated.matches
    if matches is not None:
        matches = matches * torch.from_numpy(~stranger)[:, None]
    return VectorTable(users, table.items, user_rows, table.item_rows, matches)
