"""Ranges of rows: as single rows, and in runs that fit into memory."""

import numpy as np

from corarec.types import IntArray


def flat(starts: IntArray, ends: IntArray) -> tuple[IntArray, IntArray]:
    """Return the numbers of all ranges one after the other, and which range each is of."""
    lengths = ends - starts
    owners = np.repeat(np.arange(len(starts)), lengths)
    before = np.cumsum(lengths) - lengths
    return np.arange(int(lengths.sum())) + np.repeat(starts - before, lengths), owners


def chunks(lengths: IntArray, most: int) -> list[IntArray]:
    """Part ranges into runs of so many numbers in all, or of one range where that has more."""
    if not len(lengths):
        return []
    number = np.cumsum(lengths) // most
    return np.split(np.arange(len(lengths)), np.flatnonzero(np.diff(number)) + 1)
