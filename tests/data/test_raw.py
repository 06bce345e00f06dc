from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from corarec.data.raw import RawData, SourceFacts, require_titles
from corarec.errors import DataError

MakeRaw = Callable[..., RawData]


def test_collect_returns_good_rows(make_raw: MakeRaw) -> None:
    raw = make_raw([("a", "x", 4.0, 1), ("b", "y", 2.0, 2)])
    assert raw.collect(raw.interactions)["row"].to_list() == [1, 2]


def test_a_missing_time_names_file_and_row(make_raw: MakeRaw) -> None:
    raw = make_raw([("a", "x", 4.0, 1), ("b", "y", 2.0, None)])
    with pytest.raises(DataError, match=r"toy\.csv, row 2: the timestamp is missing"):
        raw.collect(raw.interactions)


def test_some_ratings_missing(make_raw: MakeRaw) -> None:
    raw = make_raw([("a", "x", 4.0, 1), ("b", "y", None, 2)])
    with pytest.raises(DataError, match=r"toy\.csv, row 2: the rating is missing"):
        raw.collect(raw.interactions)


def test_all_ratings_missing_is_data_with_positives_only(make_raw: MakeRaw) -> None:
    raw = make_raw([("a", "x", None, 1), ("b", "y", None, 2)])
    assert raw.collect(raw.interactions).height == 2


def test_nothing_left(make_raw: MakeRaw) -> None:
    raw = make_raw([("a", "x", 4.0, 1)])
    with pytest.raises(DataError, match=r"toy\.csv has no interaction that this split can use"):
        raw.collect(raw.interactions.filter(pl.col("timestamp") > 5))


def test_duplicate_items_name_their_entries() -> None:
    with pytest.raises(DataError, match=r"items\.csv: item 'x' occurs 2 times \(entries 1, 3\)"):
        RawData(
            facts=SourceFacts("toy", "free"),
            interactions=pl.LazyFrame(
                schema={
                    "row": pl.Int64,
                    "user": pl.String,
                    "item": pl.String,
                    "rating": pl.Float32,
                    "timestamp": pl.Int64,
                }
            ),
            items=pl.DataFrame({"item": ["x", "y", "x"], "title": ["1", "2", "3"]}),
            interactions_file=Path("toy.csv"),
            items_file=Path("items.csv"),
        )


def test_an_item_without_title(make_raw: MakeRaw) -> None:
    raw = make_raw([("a", "x", 4.0, 1), ("a", "z", 4.0, 2)], titles={"x": "X", "z": " "})
    with pytest.raises(DataError, match=r"no title for item 'z' \(first used in toy\.csv, row 2\)"):
        require_titles(raw.interactions.collect(), raw)


def test_a_source_with_the_wrong_columns(make_raw: MakeRaw) -> None:
    with pytest.raises(TypeError, match="label"):
        make_raw([("a", "x", 4.0, 1)], label=pl.Series(["yes"]))


def test_duplicate_users_and_names_that_a_dataset_needs_are_refused(make_raw: MakeRaw) -> None:
    raw = make_raw([("a", "x", 4.0, 1)])
    twice = pl.DataFrame({"user": ["a", "b", "a"], "age": ["1", "2", "3"]})
    with pytest.raises(DataError, match=r"u\.user: user 'a' occurs 2 times \(entries 1, 3\)"):
        replace(raw, users=twice, users_file=Path("u.user"))
    nobody = pl.DataFrame({"user": [None, "a", None]}, schema={"user": pl.String})
    with pytest.raises(DataError, match=r"user 'None' occurs 2 times \(entries 1, 3\)"):
        replace(raw, users=nobody)
    for name in ("raw_id", "item_id"):
        with pytest.raises(DataError, match=rf"items\.csv has a column {name} beside"):
            replace(raw, items=raw.items.with_columns(pl.lit("1").alias(name)))
