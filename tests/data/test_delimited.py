from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corarec.data import delimited
from corarec.data.delimited import Delimited, find_encoding, guess_separator
from corarec.errors import DataError

HEADER = "user,item,title\n"


def read(content: bytes, separator: str = ",", **options: Any) -> tuple[pl.DataFrame, list[str]]:
    text = Delimited(
        lambda: nullcontext(BytesIO(content)), content, Path("t.csv"), separator, **options
    )
    table, notes = text.scan()
    return table.collect(), notes


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("a,1,x\nb,2,y\n", [(2, "a", "1", "x"), (3, "b", "2", "y")]),
        ("a,1,x\r\nb,2,\r\n", [(2, "a", "1", "x"), (3, "b", "2", None)]),
        ('a,1,"x, ""y"""\nb,2,z', [(2, "a", "1", 'x, "y"'), (3, "b", "2", "z")]),
        ('a,1,"two\nlines"\nb,2,z\n', [(2, "a", "1", "two\nlines"), (4, "b", "2", "z")]),
        ('a,1,5" disk\nb,2,6" disk\n', [(2, "a", "1", '5" disk'), (3, "b", "2", '6" disk')]),
        ("\n\na,1,x\n\nb,2,y\n\n", [(4, "a", "1", "x"), (6, "b", "2", "y")]),
        ("a,1,x\x01y\n", [(2, "a", "1", "x\x01y")]),
        ("", []),
    ],
)
def test_no_row_is_lost_or_shifted(content: str, rows: list[Any]) -> None:
    assert read((HEADER + content).encode())[0].rows() == rows


def test_carriage_returns_alone_end_lines() -> None:
    assert read((HEADER + "a,1,x\nb,2,y\n").replace("\n", "\r").encode())[0].height == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_encodings(encoding: str) -> None:
    table, notes = read((HEADER + "a,1,x\nb,2,Café “é”\n").encode(encoding))
    assert table.columns == ["row", "user", "item", "title"]
    assert table["title"].to_list() == ["x", "Café “é”"]
    expected = {
        "cp1252": ["t.csv is not UTF-8 (first in row 3): read as Windows-1252 (Latin-1)"],
        "utf-16": ["t.csv read as UTF-16, by its mark"],
        "utf-32": ["t.csv read as UTF-32, by its mark"],
    }
    assert notes == expected.get(encoding, [])


def test_a_mark_before_a_file_without_a_header() -> None:
    table, _ = read("7,1\n8,2\n".encode("utf-8-sig"), columns=["user", "item"])
    assert table.rows() == [(1, "7", "1"), (2, "8", "2")]


def test_bytes_that_windows_does_not_know() -> None:
    table, _ = read(HEADER.encode() + b"a,1,\x81\xe9\n")
    assert table["title"].item() == "\x81é"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + "a,1,x\nb,2,The Good, the Bad\n", "row 3: 4 fields, expected 3.*double quotes"),
        (HEADER + "a,1,x\nb,2\n", "row 3: 2 fields, expected 3 .user, item, title"),
        (HEADER + 'a,1,x\nb,2,"y\nc,3,z\n', "row 3: the fields cannot be told apart.*quote"),
        (HEADER + 'a,1,x\nb,2,"y" z\nc,3,z\n', "row 3: the fields cannot be told apart"),
        (HEADER + "a,1,x\nb,2,y\0z\n", "row 3: a zero byte"),
        ("user,item,item\na,1,x\n", "two columns of the same name.*item"),
        ("user,row,item\na,1,x\n", "one called `row`"),
        ("", "is empty"),
        ("\n\n", "is empty"),
    ],
)
def test_bad_records_are_named(content: str, message: str) -> None:
    with pytest.raises(DataError, match=rf"t\.csv.*{message}"):
        read(content.encode())


def test_utf_16_without_a_mark() -> None:
    with pytest.raises(DataError, match="row 1: a zero byte.*UTF-16"):
        read(HEADER.encode("utf-16-le"))


def test_a_mark_that_lies() -> None:
    with pytest.raises(DataError, match="cannot be told apart"):
        read(b"\xff\xfe" + HEADER.encode("utf-16-le") + b"a\x00\x00\xd8\x00\xd8")


def test_spaces_around_the_names_of_columns() -> None:
    assert read(b" user , item\na,1\n")[0].columns == ["row", "user", "item"]


def test_plain_and_recorded_reading_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"u{n},i{n % 7},{n * 0.5}" for n in range(1_000)]
    content = (HEADER + "\n".join(lines)).encode()
    plain, _ = read(content)
    monkeypatch.setattr(delimited, "RECORDS_PER_PIECE", 64)
    monkeypatch.setattr(Delimited, "_is_plain", lambda *_: False)
    recorded, _ = read(content)
    assert plain.equals(recorded)
    assert plain["row"].to_list() == list(range(2, 1_002))


@pytest.mark.parametrize(
    ("header", "separator"),
    [("a;b;c,d", ";"), ("a\tb", "\t"), ("a|b", "|"), ("a,b", ","), ("abc", None), ("", None)],
)
def test_the_likeliest_separator(header: str, separator: str | None) -> None:
    assert guess_separator(header) == separator


def test_the_row_of_the_first_byte_that_is_not_utf_8() -> None:
    content = b"a\n" * 1_500_000 + b"\xe9\n"
    assert "row 1500001" in find_encoding(BytesIO(content), Path("t.csv")).note
    assert find_encoding(BytesIO("é".encode() * 3_000_000), Path("t")).name == "utf-8"
