"""Parts of the rows that get metrics of their own: all, warm, cold.

A split (train, valid, test) says when a row is used; a part is some of the rows of one.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from corarec.errors import ConfigError
from corarec.types import BoolArray, IntArray, Pairs, ScoreTable

Parts = dict[str, BoolArray]
"""Name of a part -> [N] mask of its rows."""


def warm_cold_parts(table: ScoreTable) -> Parts:
    """Split by presence in train: warm rows have a user and an item that both occur there."""
    return {"warm": table.warm, "cold": ~table.warm}


def interaction_parts(table: ScoreTable, train: Pairs, threshold: int) -> Parts:
    """Split by the number of train interactions.

    A row is `frequent` where its user and its item both have at least `threshold` interactions in
    train, else `rare`. With a threshold of 1 these are the warm and the cold rows.

    Raises
    ------
    ConfigError
        The threshold is below 1.
    """
    if threshold < 1:
        raise ConfigError(
            f"The threshold of train interactions is {threshold}; it must be 1 or more "
            "(1 splits by presence in train)."
        )
    fewest = np.minimum(
        _occurrences(table.user_ids, train.user_ids), _occurrences(table.item_ids, train.item_ids)
    )
    frequent = fewest >= threshold
    return {f"frequent (>= {threshold})": frequent, f"rare (< {threshold})": ~frequent}


def item_parts(table: ScoreTable, train: Pairs, bounds: Sequence[int]) -> Parts:
    """Split by the number of train interactions of a row's item.

    Parameters
    ----------
    bounds
        Rising numbers: with 1 and 6 the parts are 0, 1 to 5, and 6 or more.

    Raises
    ------
    ConfigError
        They do not rise, or begin below 1.
    """
    edges = [0, *bounds]
    if any(high <= low for low, high in pairwise(edges)):
        raise ConfigError(f"The bounds {list(bounds)} of item rows must rise, from 1 or more.")
    count = _occurrences(table.item_ids, train.item_ids)
    parts: Parts = {}
    for low, high in pairwise(edges):
        span = str(low) if high == low + 1 else f"{low}-{high - 1}"
        parts[f"item rows {span}"] = (count >= low) & (count < high)
    return parts | {f"item rows >= {edges[-1]}": count >= edges[-1]}


def _occurrences(ids: IntArray, train_ids: IntArray) -> IntArray:
    size = int(max(ids.max(initial=0), train_ids.max(initial=0))) + 1
    return np.bincount(train_ids, minlength=size)[ids]
