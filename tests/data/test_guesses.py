from pathlib import Path

import polars as pl
import pytest

from corarec.data.guesses import guess_rating, guess_unit, one_title_each, tidy_ids
from corarec.errors import DataError

FILE = Path("t.csv")


def test_names_of_ratings() -> None:
    assert guess_rating(["user", "Star-Rating"], FILE, "rating_column")[0] == "Star-Rating"
    assert guess_rating(["user", "scorecard"], FILE, "rating_column") == (None, "")
    with pytest.raises(DataError, match=r"columns stars, liked may say.*rating_field.*label_field"):
        guess_rating(["stars", "liked"], FILE, "rating_field")


@pytest.mark.parametrize(
    ("times", "unit"),
    [([], "s"), ([0, None], "s"), ([1, 10**11 - 1], "s"), ([-(10**12)], "ms"), ([10**18], "ns")],
)
def test_units(times: list[int | None], unit: str) -> None:
    table = pl.LazyFrame({"row": range(len(times)), "t": pl.Series(times, dtype=pl.Int64)})
    assert guess_unit(table, "t", FILE)[0] == unit


def test_ids_of_every_type() -> None:
    table = pl.LazyFrame({"a": [1, 2], "b": [1.5, 2.0], "c": ["1.0", "x"], "d": ["007", "1.00"]})
    for column, ids in {"a": ["1", "2"], "b": ["1.5", "2.0"], "c": ["1.0", "x"]}.items():
        tidy, notes = tidy_ids(table, column, FILE)
        assert (tidy.collect()[column].to_list(), notes) == (ids, [])
    assert tidy_ids(table, "d", FILE)[0].collect()["d"].to_list() == ["007", "1.00"]


def test_what_goes_with_an_item_is_kept() -> None:
    pairs = pl.LazyFrame({"item": ["b", "a", "b"], "title": ["", "A", "B"], "year": [1, 2, 3]})
    items, notes = one_title_each(pairs, FILE)
    assert items.sort("item").rows() == [("a", "A", 2), ("b", "B", 3)]
    assert notes == []
