"""What arrays of rows need beyond numpy."""

from typing import Any

import numpy as np
import numpy.typing as npt

from corarec.types import BoolArray, IntArray

_MOST = 2**63


def distinct(values: IntArray) -> IntArray:
    """Return each of some whole numbers once, ascending: [M] of [N].

    `np.unique` finds them by a hash table, which takes a hundred times as long as sorting does.
    """
    ordered = np.sort(values, axis=None)
    keep = np.ones(len(ordered), np.bool_)
    keep[1:] = ordered[1:] != ordered[:-1]
    return ordered[keep]


def among(values: IntArray, known: IntArray) -> BoolArray:
    """Return which of some whole numbers are among others: [N]; `np.isin` hashes, too."""
    ordered = distinct(known)
    if not len(ordered):
        return np.zeros(len(values), np.bool_)
    places = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    return np.asarray(ordered[places] == values)


def distinct_rows(table: npt.NDArray[np.integer[Any]]) -> tuple[Any, IntArray]:
    """Return the distinct rows, in the order of their first, second ... column, and the places.

    What `np.unique` does along an axis, which compares rows number by number, by sorting one number
    a row a few times.

    Parameters
    ----------
    table
        [N, C] numbers from 0

    Returns
    -------
    [R, C] the distinct rows, and each row's place among them: [N].
    """
    places = np.zeros(len(table), np.int64)
    size, base, column = 1, int(table.max(initial=0)) + 1, 0
    while column < table.shape[1]:
        keys = places
        # As many columns as 63 bits hold, one at least.
        while column < table.shape[1] and (size * base < _MOST or keys is places):
            keys, size, column = keys * base + table[:, column], size * base, column + 1
        found, places = np.unique(keys, return_inverse=True)
        size = len(found)
    some = np.zeros(size if len(table) else 0, np.int64)
    some[places] = np.arange(len(table))
    return table[some], places
