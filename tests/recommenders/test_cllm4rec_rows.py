from dataclasses import replace

import numpy as np
import polars as pl

from corarec.data import Dataset
from corarec.recommenders.cllm4rec_rows import descriptions, reviews, users_with_items
from corarec.types import Histories, Pairs


def test_a_description_is_the_title_and_what_the_columns_say(small_world: Dataset) -> None:
    items = small_world.items.head(4).select("item_id", "raw_id")
    facts = pl.DataFrame(
        {
            "title": ["Sting, The (1973)", "Toy Story", "", "  "],
            "genres": ["Comedy|Crime", None, "| Drama |", ""],
            "release_year": [1973, None, 2001, None],
            "cast": [["Newman", "Redford"], [], None, [None]],
        }
    )
    users, numbers, texts = descriptions(
        replace(small_world, items=pl.concat([items, facts], how="horizontal"))
    )
    assert texts == [
        "Sting, The (1973). Genres: Comedy, Crime. Release year: 1973. Cast: Newman, Redford.",
        "Toy Story.",
        "Genres: Drama. Release year: 2001.",
    ]
    assert numbers.tolist() == [1, 2, 3]  # of the last one nothing is known
    assert users.tolist() == [0, 0, 0]


def test_reviews_are_those_of_the_rows(small_world: Dataset) -> None:
    texts = pl.DataFrame(
        {"row": [3, 5, 9], "user_id": [1, 1, 2], "item_id": [7, 8, 9], "text": ["a", None, "c"]}
    )
    written = replace(small_world, texts=texts)
    users, items, found = reviews(written, np.array([3, 5, 6]))
    assert (users.tolist(), items.tolist(), found) == ([1], [7], ["a"])
    assert reviews(small_world, np.array([3]))[2] == []


def test_users_with_items_are_each_once_and_in_order() -> None:
    pairs = Pairs(
        np.array([4, 2, 4, 4, 2]), np.array([9, 3, 1, 9, 2]), Histories.from_lists([[]] * 5)
    )
    users, items = users_with_items(pairs)
    assert users.tolist() == [2, 4]
    assert [items[n].tolist() for n in range(2)] == [[2, 3], [1, 9]]
