"""What a service exported is read, or refused by its row."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corarec.data.events import ITEMS_SUFFIX, read_events
from corarec.errors import DataError

ROWS: dict[str, list[Any]] = {
    "user": ["ann", "bob", "ann", "ann"],
    "item": ["1", "1", "1", "2"],
    "kind": ["dislike", "seen", "like", "like"],
    "time": [30, 20, 10, 40],
}


def write(folder: Path, **columns: list[Any]) -> Path:
    file = folder / "events.parquet"
    pl.DataFrame(ROWS | columns).write_parquet(file)
    return file


def test_rows_come_in_order_of_time_and_the_last_opinion_holds(tmp_path: Path) -> None:
    events = read_events(write(tmp_path))
    assert events.rows["time"].to_list() == [10, 20, 30, 40]
    assert events.rows["stars"].to_list() == [None] * 4
    assert events.items.is_empty()
    held = events.opinions().select("user", "item", "time", "label")
    assert held.rows() == [("ann", "1", 30, 0), ("ann", "2", 40, 1)]


def test_of_one_second_the_order_of_arrival_decides(tmp_path: Path) -> None:
    same: dict[str, list[Any]] = {"user": ["ann"] * 4, "item": ["1"] * 4, "time": [5] * 4}
    kinds = ["like", "dislike", "seen", "like"]
    file = write(tmp_path, **same, kind=kinds, arrived=[4, 1, 2, 3], stars=[5, 1, None, 4])
    events = read_events(file)
    assert events.rows["kind"].to_list() == ["dislike", "seen", "like"]
    # The very same event told twice is one, as it was told last.
    assert events.rows["stars"].to_list() == [1.0, None, 5.0]
    assert events.opinions()["kind"].to_list() == ["like"]


@pytest.mark.parametrize(
    ("column", "bad", "wanted"),
    [
        ("user", None, "user is"),
        ("user", " ", "user is"),
        ("item", "", "item is"),
        ("kind", "love", "like or dislike or seen"),
        ("kind", None, "like or dislike or seen"),
        ("time", -1, "UTC seconds"),
        ("time", None, "UTC seconds"),
        ("time", 1 << 60, "UTC seconds"),
        ("stars", float("nan"), "a finite number"),
        ("stars", float("inf"), "a finite number"),
    ],
)
def test_a_value_that_is_none_is_refused_by_its_row(
    tmp_path: Path, column: str, bad: Any, wanted: str
) -> None:
    values = [*ROWS.get(column, [1.0] * 4)]
    values[2] = bad
    file = write(tmp_path, **{column: values})
    with pytest.raises(DataError, match=rf"row 3: .*{wanted}"):
        read_events(file)


def test_a_file_without_a_column_or_of_another_kind_or_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_events(tmp_path / "none.parquet")
    file = write(tmp_path)
    pl.read_parquet(file).drop("kind").write_parquet(file)
    with pytest.raises(DataError, match="lacks the column kind"):
        read_events(file)
    file = write(tmp_path, time=["a", "b", "c", "d"])
    with pytest.raises(DataError, match="of another kind"):
        read_events(file)
    file.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError):
        read_events(file)


def test_items_are_read_from_beside_or_from_where_they_are_said_to_be(tmp_path: Path) -> None:
    file = write(tmp_path)
    items = pl.DataFrame({"item": ["n1", "n2"], "title": ["New", "Newer"], "year": [1999, None]})
    items.write_parquet(tmp_path / f"events{ITEMS_SUFFIX}")
    assert read_events(file).items.rows() == items.rows()
    elsewhere = tmp_path / "other.parquet"
    items.head(1).write_parquet(elsewhere)
    assert read_events(file, elsewhere).items["item"].to_list() == ["n1"]
    with pytest.raises(DataError, match="does not exist"):
        read_events(file, tmp_path / "none.parquet")
    pl.concat([items, items.tail(1)]).write_parquet(elsewhere)
    with pytest.raises(DataError, match="row 2: item is 'n2'; wanted is each item once"):
        read_events(file, elsewhere)
    items.with_columns(title=pl.lit(" ")).write_parquet(elsewhere)
    with pytest.raises(DataError, match="row 1: title"):
        read_events(file, elsewhere)
