from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from corarec.data import Dataset
from corarec.errors import DataError
from corarec.score.people import Directory


@pytest.fixture(scope="module")
def directory(small_world: Dataset) -> Directory:
    return Directory(small_world.knowledge)


def test_users_and_items_are_found_by_their_names(
    directory: Directory, small_world: Dataset
) -> None:
    for number in (1, small_world.num_users):
        assert directory.user(small_world.user_vocabulary.raw_ids[number - 1]) == number
    for item in (1, small_world.num_items):
        assert directory.item(small_world.titles[item]) == item


def test_nobody_is_found_by_a_name_that_is_not_there(directory: Directory) -> None:
    with pytest.raises(DataError, match="no user '0' among the"):
        directory.user("0")
    with pytest.raises(DataError, match=r"No item has the title ''. None comes close\."):
        directory.item("")
    with pytest.raises(DataError, match="None comes close"):
        directory.item("qqqqqqqq")


def test_a_known_user_is_all_that_it_liked_and_user_zero_nothing(
    directory: Directory, small_world: Dataset
) -> None:
    user = directory.user(directory.most_active(1)[0])
    pairs = directory.pairs(np.array([0, user]), np.array([3, 3]))
    rows = small_world.interactions
    liked = rows.filter((rows["user_id"] == user) & (rows["label"] == 1))["item_id"].to_list()
    assert pairs.histories[0].tolist() == []
    assert pairs.histories[1].tolist() == liked
    context = directory.known(user)
    assert (context.user_id, context.liked.tolist()) == (user, liked)


def test_the_most_active_like_most(directory: Directory, small_world: Dataset) -> None:
    counts = small_world.timeline.liked_counts()
    best = [directory.user(raw) for raw in directory.most_active(3)]
    assert counts[best].tolist() == sorted(counts[1:].tolist(), reverse=True)[:3]


def test_titles_are_found_in_either_unicode_form(small_world: Dataset) -> None:
    titles = small_world.items["title"].to_list()
    items = small_world.items.with_columns(title=pl.Series(["Am\u00e9lie", *titles[1:]]))
    directory = Directory(replace(small_world, items=items).knowledge)
    assert directory.item("Ame\u0301lie") == directory.item("Am\u00e9lie") == 1


def test_what_a_known_user_did_not_like_is_known_too(small_world: Dataset) -> None:
    people = Directory(small_world.knowledge)
    table = small_world.interactions
    user = int(table["user_id"][0])
    rows = table.filter(pl.col("user_id") == user)
    wanted = rows.filter(pl.col("label") == 0)["item_id"].to_list()
    assert wanted
    context = people.known(user)
    assert context.disliked.tolist() == wanted
    pairs = context.pairs(np.array([1, 2]))
    assert pairs.disliked is not None
    assert [pairs.disliked[n].tolist() for n in range(2)] == [wanted, wanted]
    both = people.pairs(np.array([user, 0]), np.array([1, 1]))
    assert both.disliked is not None
    assert [both.disliked[n].tolist() for n in range(2)] == [wanted, []]
    new = people.person(None, [small_world.titles[1]])
    assert new.disliked.tolist() == []
