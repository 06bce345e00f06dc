"""The rows of a fit, which alone may have a label of their own."""

import numpy as np
import torch

from corarec.arrays import among, distinct_rows
from corarec.errors import DataError
from corarec.types import IntArray


def distinct_keys(keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the distinct halves of pairs, in order, and the place of each pair's among them.

    `keys: [N, 3]` an id, the other side's (0 unless the pair took part) and the own label, from -1.
    """
    lowest = torch.tensor([0, 0, -1])
    distinct, places = distinct_rows((keys - lowest).numpy())
    return torch.from_numpy(distinct) + lowest, torch.from_numpy(places)


def check_rows(
    rows: torch.Tensor, users: torch.Tensor, items: torch.Tensor, own: torch.Tensor, size: int
) -> None:
    """Make sure that the pairs with an own label are among the rows of a fit.

    Parameters
    ----------
    rows
        [N, 3] user, item and label.
    users, items, own
        [M] of the pairs; own is -1 where a pair took no part.
    size
        One more than the largest item.

    Raises
    ------
    DataError
        One is not.
    """
    if not (own >= 0).any():
        return

    def keys(users: torch.Tensor, items: torch.Tensor, own: torch.Tensor) -> IntArray:
        found: IntArray = ((users * size + items) * 2 + own).numpy()
        return found

    foreign = ~among(keys(users, items, own), keys(*rows.T)) & (own >= 0).numpy()
    if foreign.any():
        row = int(np.argmax(foreign))
        raise DataError(
            f"Pair {row} (user {users[row]}, item {items[row]}) is marked as a training row "
            f"with label {own[row]}, but these factors were not fitted on it. Set its own "
            "label to NaN (corarec.cf.VectorSource does)."
        )
