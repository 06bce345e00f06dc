from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from corarec.data import Dataset
from corarec.errors import ConfigError, DataError
from corarec.recommenders.negatives import lists_of


def test_every_liked_row_has_items_that_its_user_does_not_like(small_world: Dataset) -> None:
    rows = small_world.rows("train")
    pairs, labels, lists = lists_of(small_world, rows, 5, 0.75, seed=1)
    liked = rows[small_world.labels(rows) == 1]
    met = small_world.pairs(liked)
    assert labels.reshape(-1, 6)[:, 0].all()
    assert not labels.reshape(-1, 6)[:, 1:].any()
    assert lists.tolist() == np.repeat(np.arange(len(liked)), 6).tolist()
    np.testing.assert_array_equal(pairs.item_ids[::6], met.item_ids)
    np.testing.assert_array_equal(pairs.user_ids, np.repeat(met.user_ids, 6))
    assert pairs.histories[6 * 7 + 3].tolist() == met.histories[7].tolist()
    assert pairs.rows is None
    likes = set(zip(met.user_ids.tolist(), met.item_ids.tolist(), strict=True))
    drawn = zip(pairs.user_ids[labels == 0], pairs.item_ids[labels == 0], strict=True)
    assert not likes & {(int(user), int(item)) for user, item in drawn}


def test_the_draw_follows_from_its_seed(small_world: Dataset) -> None:
    rows = small_world.rows("train")[:100]
    items = [lists_of(small_world, rows, 3, 0.75, seed)[0].item_ids for seed in (1, 1, 2)]
    np.testing.assert_array_equal(items[0], items[1])
    assert (items[0] != items[2]).any()


def test_the_power_tempers_popularity(small_world: Dataset) -> None:
    rows = small_world.rows("train")
    popular = []
    for power in (0.0, 1.0, 2.0):
        pairs, labels, _ = lists_of(small_world, rows, 20, power, seed=0)
        popular.append(small_world.popularity[pairs.item_ids[labels == 0]].mean())
    assert popular[0] < popular[1] < popular[2]


def test_items_of_other_parts_only_are_never_drawn(small_world: Dataset) -> None:
    train = small_world.rows("train")
    pairs, labels, _ = lists_of(small_world, small_world.rows("valid"), 30, 0.0, seed=0)
    assert np.isin(pairs.item_ids[labels == 0], small_world.pairs(train).item_ids).all()


def test_what_cannot_be_drawn_is_an_error(small_world: Dataset) -> None:
    rows = small_world.rows("train")
    disliked = rows[small_world.labels(rows) == 0]
    with pytest.raises(ConfigError, match="None of the .* rows is liked"):
        lists_of(small_world, disliked, 1, 0.75, seed=0)
    user = int(small_world.pairs(rows).user_ids[0])
    only = small_world.interactions.filter(
        (pl.col("user_id") == user) & (pl.col("split") == "train")
    ).with_columns(label=pl.lit(1, pl.Int8))
    everything = replace(small_world, interactions=only)
    with pytest.raises(DataError, match="no item was found in 200 draws that is not liked"):
        lists_of(everything, np.arange(len(only)), 2, 0.75, seed=0)
