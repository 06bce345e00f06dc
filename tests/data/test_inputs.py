import gzip
import zipfile
from pathlib import Path

import polars as pl
import pytest

from corarec.data.inputs import InputFiles, parse_numbers, require_columns
from corarec.errors import DataError
from corarec.files import sha256


def test_a_path_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere does not exist.*--input"):
        InputFiles(tmp_path / "nowhere")


def test_the_least_deep_file_is_found(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/a.csv").write_text("deep")
    (tmp_path / "a.csv").write_text("near")
    files = InputFiles(tmp_path)
    assert files.find("a.csv") == "a.csv"
    assert files.find("b.csv") is None
    assert files.text("a.csv") == "near"


def test_a_required_file_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    with pytest.raises(DataError, match=r"has no file b\.csv; it has a\.csv"):
        InputFiles(tmp_path).require("b.csv")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-8-sig"])
def test_text_in_either_encoding(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_bytes("Café".encode(encoding))
    assert InputFiles(tmp_path).text("a.txt") == "Café"


@pytest.mark.parametrize("kind", ["folder", "zip", "gz"])
def test_table_out_of_a_folder_a_zip_and_gzip(tmp_path: Path, kind: str) -> None:
    content, name = b"a,b\n1,x\n2,\n", "t.csv"
    path = tmp_path / "in"
    if kind == "zip":
        path = tmp_path / "in.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inner/t.csv", content)
    else:
        path.mkdir()
        name = "t.csv.gz" if kind == "gz" else name
        (path / name).write_bytes(gzip.compress(content) if kind == "gz" else content)
    files = InputFiles(path)
    table = files.table(files.require(name), separator=",").collect()
    assert table.rows() == [(2, "1", "x"), (3, "2", None)]


def test_fingerprints_are_of_the_files_read(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x,y\n1,2\n")
    files = InputFiles(tmp_path)
    files.table("a.csv", separator=",")
    assert files.fingerprints() == {"a.csv": sha256(tmp_path / "a.csv")}


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(DataError, match=r"a\.csv is empty"):
        InputFiles(tmp_path).table("a.csv", separator=",")


def test_a_gzip_cut_off(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n" + bytes(range(256)) * 20)[:-12])
    with pytest.raises(DataError, match=r"a\.csv\.gz is cut off or damaged"):
        InputFiles(tmp_path).text("a.csv.gz")


def test_a_zip_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x" * 1000)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"a\.zip is cut off or damaged"):
        InputFiles(path)


def test_a_zip_with_a_damaged_member(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x" * 1000)
    content = bytearray(path.read_bytes())
    content[500] ^= 255
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="cut off or damaged"):
        InputFiles(path).text("a.csv")


def test_numbers_are_parsed_and_blanks_are_missing() -> None:
    table = pl.LazyFrame({"row": [1, 2, 3], "n": [" 4.0", "", None], "f": ["0.5", "1e3", "-2"]})
    types: dict[str, pl.DataType] = {"n": pl.Int64(), "f": pl.Float32()}
    parsed = parse_numbers(table, types, Path("f")).collect()
    assert parsed["n"].to_list() == [4, None, None]
    assert parsed["f"].to_list() == [0.5, 1000.0, -2.0]


@pytest.mark.parametrize("value", ["five", "nan", "inf", "1,5"])
def test_what_is_no_number_names_its_row(value: str) -> None:
    table = pl.LazyFrame({"row": [1, 2], "rating": ["1", value]})
    with pytest.raises(DataError, match=rf"f\.csv, row 2: rating is '{value}', .* not a number"):
        parse_numbers(table, {"rating": pl.Float32()}, Path("f.csv"))


def test_large_whole_numbers_stay_exact() -> None:
    table = pl.LazyFrame({"row": [1], "t": [1_700_000_000_123_456_789]})
    parsed = parse_numbers(table, {"t": pl.Int64()}, Path("f")).collect()
    assert parsed["t"].item() == 1_700_000_000_123_456_789


def test_missing_columns_are_named_with_what_there_is() -> None:
    with pytest.raises(DataError, match="f lacks the columns b, c; it has a, d. Say so."):
        require_columns(["a", "d"], ["a", "b", "c"], Path("f"), "Say so.")
