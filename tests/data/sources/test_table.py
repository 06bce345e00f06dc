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


def test_two_titles_for_one_item(tmp_path: Path) -> None:
    path = csv(tmp_path, "user,item,timestamp,title", "u,x,1,A", "v,x,2,B")
    with pytest.raises(DataError, match="item 'x' occurs 2 times"):
        read(path)


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
