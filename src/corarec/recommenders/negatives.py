"""Training rows for ranking: what a user liked, beside items that were drawn."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from corarec.data import Dataset
from corarec.errors import ConfigError, DataError
from corarec.types import BoolArray, IntArray, Pairs

_TRIES = 200


class Lists(NamedTuple):
    """Liked rows, each followed by its negatives."""

    pairs: Pairs
    """[N] each list as its liked row was met: same user, history, moment. They are pairs that are
    asked about, not rows, so that a CF model which leaves a row's own label out does so for none:
    otherwise a liked row would be told from its negatives by that alone."""
    labels: IntArray
    """[N] 1 or 0"""
    lists: IntArray
    """[N] which list each pair is of"""


def lists_of(dataset: Dataset, rows: IntArray, count: int, power: float, seed: int) -> Lists:
    """Draw `count` negatives for every liked row among `rows`.

    A negative is an item of the training split that the user does not like there (nor, of a row of
    another split, in `rows`). Items are drawn with weights `(likes in train + 1) ** power`, with
    replacement.

    Raises
    ------
    ConfigError
        None of the rows is liked.
    DataError
        A user likes all items that could be drawn.
    """
    liked = rows[dataset.labels(rows) == 1]
    if not len(liked):
        raise ConfigError(
            f"None of the {len(rows)} rows is liked, so there is nothing to draw negatives for. "
            "Take more rows, or leave train.loss.negatives out."
        )
    pairs = dataset.pairs(liked)
    train = dataset.pairs("train")
    known = np.unique(train.item_ids)
    weights = (dataset.popularity[known] + 1.0) ** power
    positive = np.flatnonzero(dataset.labels("train") == 1)
    forbidden = np.unique(
        np.concatenate(
            [
                _keys(dataset, train.user_ids[positive], train.item_ids[positive]),
                _keys(dataset, pairs.user_ids, pairs.item_ids),
            ]
        )
    )
    users = np.repeat(pairs.user_ids, count)
    random, ends = np.random.default_rng(seed), np.cumsum(weights)
    drawn = np.zeros(len(users), dtype=np.int64)
    left = np.arange(len(users))
    for _ in range(_TRIES):
        places = np.searchsorted(ends, random.random(len(left)) * ends[-1], side="right")
        drawn[left] = known[np.minimum(places, len(known) - 1)]
        left = left[_among(_keys(dataset, users[left], drawn[left]), forbidden)]
        if not len(left):
            break
    else:
        raise DataError(
            f"For user {dataset.user_vocabulary.raw(users[left[:1]])[0]} no item was found in "
            f"{_TRIES} draws that is not liked. Lower train.loss.popularity, or leave "
            "train.loss.negatives out."
        )
    items = np.concatenate([pairs.item_ids[:, None], drawn.reshape(-1, count)], axis=1)
    lists = np.repeat(np.arange(len(liked)), count + 1)
    labels = np.tile(np.eye(1, count + 1, dtype=np.int64)[0], len(liked))
    asked = replace(pairs.take(lists), item_ids=items.reshape(-1), rows=None)
    return Lists(asked, labels, lists)


def _keys(dataset: Dataset, users: IntArray, items: IntArray) -> IntArray:
    return users * (dataset.num_items + 1) + items


def _among(keys: IntArray, ordered: IntArray) -> BoolArray:
    """Return which keys are among ordered ones: [N]."""
    places = np.minimum(np.searchsorted(ordered, keys), len(ordered) - 1)
    return np.asarray(ordered[places] == keys)
