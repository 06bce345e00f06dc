from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corarec.data.inputs import InputFiles
from corarec.data.raw import RawData
from corarec.data.sources.table import Table
from corarec.errors import ConfigError, DataError


def read(path: Path, **options: Any) -> RawData:
    return Table(**options).read(InputFiles(path))


def csv(folder: Path, *lines: str, name: str = "t.csv") -> Path:
    (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    return folder / name


def test_csv_with_titles_inside(tmp_path: Path) -> None:
    path = csv(
        tmp_path, "user,item,rating,timestamp,title", 'u,x,4.5,10,"X, the"', 'v,x,1,11,"X, the"'
    )
    raw = read(path)
    assert raw.collect(raw.interactions).rows() == [(2, "u", "x", 4.5, 10), (3, "v", "x", 1.0, 11)]
    assert raw.items.rows() == [("x", "X, the")]


def test_other_names_and_two_tables(tmp_path: Path) -> None:
    csv(tmp_path, "who\twhat\twhen\tliked", "u\tx\t10999\t1", name="events.tsv")
    csv(tmp_path, "what\tname\tyear", "x\tX\t1990", name="films.tsv")
    raw = read(
        tmp_path,
        interactions="events.tsv",
        items="films.tsv",
        user_column="who",
        item_column="what",
        time_column="when",
        time_unit="ms",
        label_column="liked",
        title_column="name",
    )
    rows = raw.collect(raw.interactions)
    assert rows.rows() == [(2, "u", "x", None, 10, 1)]
    assert raw.items.rows() == [("x", "X", "1990")]


def test_parquet_with_its_own_times(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "user": [1, 2],
            "item": [7, 7],
            "rating": [4, 5],
            "timestamp": [datetime(1970, 1, 2, tzinfo=UTC), datetime(1970, 1, 3, tzinfo=UTC)],
            "title": ["T", "T"],
            "split": ["train", "test"],
        }
    )
    table.write_parquet(tmp_path / "t.parquet")
    raw = read(tmp_path / "t.parquet")
    rows = raw.collect(raw.interactions)
    assert rows.drop("split").rows() == [(1, "1", "7", 4.0, 86_400), (2, "2", "7", 5.0, 172_800)]
    assert rows["split"].to_list() == ["train", "test"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86_400),
        ("1970-01-01T00:01:00", 60),
        ("1970-01-01 00:01:00.5", 60),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:05Z", 5),
        ("-5", -5),
    ],
)
def test_times_as_text(tmp_path: Path, text: str, seconds: int) -> None:
    raw = read(csv(tmp_path, "user,item,timestamp,title", f"u,x,{text},T"))
    assert raw.collect(raw.interactions)["timestamp"].to_list() == [seconds]


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        ("user,item,title", "u,x,T", r"t\.csv lacks the column timestamp; .*user_column"),
        ("user,item,timestamp", "u,x,1", r"t\.csv lacks the column title; .*option items"),
        (
            "user,item,timestamp,title,label",
            "u,x,1,T,2",
            r"row 2: label is 2, expected one of 0, 1",
        ),
        ("user,item,timestamp,title,split", "u,x,1,T,dev", r"row 2: split is 'dev', expected one"),
        ("user,item,timestamp,title", "u,x,2020-13-01,T", r"row 2: timestamp is '2020-13-01'"),
        ("user,item,timestamp,title", "u,x,soon,T", r"row 2: timestamp is 'soon'"),
        ("user,item,timestamp,title,rating", "u,x,1,T,ok", r"row 2: rating is 'ok'"),
    ],
)
def test_bad_tables(tmp_path: Path, header: str, row: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(csv(tmp_path, header, row))


def test_several_titles_of_one_item(tmp_path: Path) -> None:
    rows = ["u,x,1,A", "v,x,2,B", "w,x,3, B ", "u,y,4,", "v,y,5,C", "w,z,6,D", "v,z,7,E"]
    raw = read(csv(tmp_path, "user,item,timestamp,title", *rows))
    assert raw.items.rows() == [("x", "B"), ("y", "C"), ("z", "D")]
    assert any("2 items have several titles (B / A): the most" in note for note in raw.facts.notes)


@pytest.mark.parametrize("name", ["stars", "Rating", "review_score", "overall"])
def test_a_column_that_looks_like_ratings_is_taken_aloud(tmp_path: Path, name: str) -> None:
    path = csv(tmp_path, f"user,item,{name},timestamp,title", "u,x,1,10,T", "v,x,5,11,T")
    raw = read(path)
    assert raw.collect(raw.interactions)["rating"].to_list() == [1.0, 5.0]
    assert f"ASSUMED: the column {name} holds the ratings" in raw.facts.notes
    silent = read(path, positives_only=True)
    assert silent.interactions.collect()["rating"].to_list() == [None, None]
    assert not silent.facts.notes


@pytest.mark.parametrize("names", ["stars,score", "liked", "stars,liked"])
def test_columns_that_may_say_what_was_liked_must_be_named(tmp_path: Path, names: str) -> None:
    values = ",".join("1" for _ in names.split(","))
    path = csv(tmp_path, f"user,item,{names},timestamp,title", f"u,x,{values},10,T")
    with pytest.raises(DataError, match=r"may say what was liked.*label_column.*positives_only"):
        read(path)


def test_a_column_that_was_named_must_be_there(tmp_path: Path) -> None:
    path = csv(tmp_path, "user,item,timestamp,title", "u,x,10,T")
    with pytest.raises(DataError, match="lacks the column stars"):
        read(path, rating_column="stars")


@pytest.mark.parametrize(
    ("factor", "unit"), [(1, ""), (1_000, "ms"), (1_000_000, "us"), (10**9, "ns")]
)
def test_units_of_time_are_told(tmp_path: Path, factor: int, unit: str) -> None:
    rows = [f"u,x,{factor * 1_600_000_000},T", "v,x,0,T"]
    raw = read(csv(tmp_path, "user,item,timestamp,title", *rows))
    assert raw.interactions.collect()["timestamp"].to_list() == [1_600_000_000, 0]
    assert any(f"timestamp counts {unit} since" in note for note in raw.facts.notes) == bool(unit)


def test_units_of_time_that_differ(tmp_path: Path) -> None:
    rows = ["u,x,1600000000000,T", "u,x,1600000000,T", "v,x,1600000000001,T"]
    with pytest.raises(DataError, match="row 3: timestamp seems to count s and in most rows ms"):
        read(csv(tmp_path, "user,item,timestamp,title", *rows))


def test_ids_are_tidied(tmp_path: Path) -> None:
    csv(tmp_path, "user,item,timestamp", " u ,1.0,1", "u,2.0,2", ",3.0,3", name="i.csv")
    csv(tmp_path, "item,title", "1,A", "2,B", "3,C", name="t.csv")
    raw = read(tmp_path, interactions="i.csv", items="t.csv")
    table = raw.interactions.collect()
    assert table["user"].to_list() == ["u", "u", None]
    assert table["item"].to_list() == ["1", "2", "3"]
    assert "spaces around 1 ids in the column user left out" in raw.facts.notes
    assert any("1.0 read as 1" in note for note in raw.facts.notes)


def test_ids_that_pandas_made_floats(tmp_path: Path) -> None:
    columns = {"user": [1.0, 2.0], "item": [7, 8], "timestamp": [1, 2], "title": ["A", "B"]}
    pl.DataFrame(columns).write_parquet(tmp_path / "t.parquet")
    assert read(tmp_path / "t.parquet").interactions.collect()["user"].to_list() == ["1", "2"]


def test_another_separator_is_told_by_the_header(tmp_path: Path) -> None:
    raw = read(csv(tmp_path, "user;item;timestamp;title", "u;x;1;A, B"))
    assert raw.items.rows() == [("x", "A, B")]
    assert any("parted by ';'" in note for note in raw.facts.notes)


def test_a_header_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="first line should name the columns, and looks like data"):
        read(csv(tmp_path, "1,1193,5,978300760", "1,661,3,978302109"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('u,x,"4,5",1,T', "rating is '4,5', which is not a number.*1.5, not 1,5"),
        ("u,x,nan,1,T", "rating is 'nan'"),
        ("u,x,1e300,1,T", "rating is '1e300', which is not a number that fits"),
        ("u,x,4,1e30,T", "timestamp is '1e30', which is not a number that fits"),
    ],
)
def test_numbers_that_do_not_fit(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(DataError, match=f"row 2: {message}"):
        read(csv(tmp_path, "user,item,rating,timestamp,title", row))


def test_a_label_between_0_and_1(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 2: label is '0\.7'"):
        read(csv(tmp_path, "user,item,label,timestamp,title", "u,x,0.7,1,T"))


def test_a_damaged_parquet_file(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match=r"t\.parquet is not a table that can be read"):
        read(tmp_path / "t.parquet")


def test_a_folder_needs_the_name_of_its_table(tmp_path: Path) -> None:
    csv(tmp_path, "user,item,timestamp,title", "u,x,1,A")
    with pytest.raises(ConfigError, match=r"is a folder; name the file.* It has t\.csv"):
        read(tmp_path)


def test_a_column_called_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one called `row`"):
        read(csv(tmp_path, "row,user,item,timestamp,title", "1,u,x,1,A"))


def test_one_column_for_two_things(tmp_path: Path) -> None:
    path = csv(tmp_path, "user,item,rating,timestamp,title", "u,x,4.5,10,X")
    with pytest.raises(ConfigError, match=r"'item' is taken .* \(user_column and item_column\)"):
        read(path, user_column="item")


def test_two_unicode_forms_are_one_title(tmp_path: Path) -> None:
    lines = ["u,x,4,10,Am\u00e9lie", "v,x,1,11,Ame\u0301lie", "v,y,1,12,Ame\u0301lie"]
    raw = read(csv(tmp_path, "user,item,rating,timestamp,title", *lines))
    assert raw.items.rows() == [("x", "Am\u00e9lie"), ("y", "Am\u00e9lie")]
    assert not any("several titles" in note for note in raw.facts.notes)
