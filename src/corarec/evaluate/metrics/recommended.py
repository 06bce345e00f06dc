"""Metrics of what is recommended, whoever likes it: novelty of a list, coverage by all lists."""

import numpy as np

from corarec.types import FloatArray, IntArray

NOVELTY, COVERAGE = "novelty", "coverage"
TITLES = {NOVELTY: "Novelty", COVERAGE: "Coverage"}


def novelty(first: IntArray, popularity: IntArray, cutoff: int) -> FloatArray:
    """Return the mean self-information of each user's first items, in bits: [U].

    That of an item is `-log2 p`, `p` its share of all likes, to each of which one is added (Vargas
    and Castells 2011 count users).

    Parameters
    ----------
    first
        [U, K] the first items of each user, 0 where there are fewer.
    popularity
        [I + 1] likes of each item in train.
    """
    counts = popularity.astype(np.float64) + 1
    bits = -np.log2(counts / counts[1:].sum())
    shown = first[:, :cutoff]
    there = shown > 0
    return np.asarray((bits[shown] * there).sum(axis=1) / np.maximum(there.sum(axis=1), 1))


def coverage(first: IntArray, num_items: int, cutoff: int) -> float:
    """Return the share of the catalogue that is among the first items of some user."""
    shown = np.unique(first[:, :cutoff])
    return float(np.count_nonzero(shown > 0) / num_items)
