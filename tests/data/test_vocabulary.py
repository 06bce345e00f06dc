import numpy as np
import polars as pl
import pytest

from corarec.data.vocabulary import (
    Vocabulary,
    in_short,
    number_by_appearance,
    number_users_by_rank,
    ranked,
)


def test_there_and_back() -> None:
    words = Vocabulary(["b", "a", "07"])
    assert len(words) == 3
    assert words.number("a") == 2
    assert words.number("7") == words.number("") == 0
    numbers = words.numbers(["07", "nobody", "b"])
    assert numbers.tolist() == [3, 0, 1]
    assert words.raw(np.array([3, 1])) == ["07", "b"]


@pytest.mark.parametrize(
    ("raw_ids", "ranks"),
    [(["10", "9", "10", "2"], [3, 2, 3, 1]), (["10", "9", "x", "2"], [1, 3, 4, 2])],
)
def test_users_are_ranked_as_numbers_or_as_text(raw_ids: list[str], ranks: list[int]) -> None:
    rows = number_users_by_rank(pl.DataFrame({"user": raw_ids, "place": range(4)}))
    assert rows["user_id"].to_list() == ranks
    assert rows["place"].to_list() == [0, 1, 2, 3]


def test_numbers_follow_the_first_appearance() -> None:
    table = pl.DataFrame({"user": list("yyxy"), "item": ["c", "a", "c", "b"]})
    rows = number_by_appearance(table, "user", "item")
    assert rows["user_id"].to_list() == [1, 1, 2, 1]
    assert rows["item_id"].to_list() == [1, 2, 1, 3]


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical])
def test_places_among_the_distinct_are_those_of_numpy(kind: type[pl.DataType]) -> None:
    texts = ["b", "ä", "10", "9", "b", "\U0001f600", "\uffff", "ä"]
    names, places = ranked(pl.Series("user", texts, dtype=kind))
    expected, inverse = np.unique(np.array(texts, dtype=object), return_inverse=True)
    assert names.to_list() == expected.tolist()
    assert places.tolist() == inverse.tolist()


def test_ids_written_once_each_are_still_ranked_as_numbers() -> None:
    # Their numbers as categories would rank 7 before 10 before 9.
    rows = in_short(pl.DataFrame({"user": ["7", "10", "9"], "item": ["b", "a", "b"]}))
    assert rows["user"].to_list() == ["7", "10", "9"]
    assert number_users_by_rank(rows)["user_id"].to_list() == [1, 3, 2]
