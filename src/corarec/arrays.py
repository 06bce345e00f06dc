"""What arrays of rows need beyond numpy."""

import numpy as np

from corarec.types import IntArray


def distinct(values: IntArray) -> IntArray:
    """Return each of some whole numbers once, ascending: [M] of [N].

    `np.unique` finds them by a hash table, which takes a hundred times as long as sorting does.
    """
    ordered = np.sort(values, axis=None)
    keep = np.ones(len(ordered), np.bool_)
    keep[1:] = ordered[1:] != ordered[:-1]
    return ordered[keep]
