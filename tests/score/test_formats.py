import os
from pathlib import Path

import polars as pl
import pytest

from corarec.errors import ConfigError, DataError
from corarec.score.formats import check_format, check_writable, count_rows, scan, write

FRAME = pl.DataFrame(
    {"user": ["007", "a,b"], "item": ['say "x"', "two\nlines"], "n": ["1.0", None]}
)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.tsv", "T.CSV"])
def test_a_table_is_the_same_after_a_way_through_any_format(tmp_path: Path, name: str) -> None:
    write(FRAME.lazy(), tmp_path / name)
    assert scan(tmp_path / name).collect().equals(FRAME)
    assert count_rows(tmp_path / name) == 2


def test_text_is_read_as_text_with_or_without_a_mark_at_its_start(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"\xef\xbb\xbfuser,item\r\n007,1e3\r\n,\r\n")
    assert scan(path).collect().to_dict(as_series=False) == {
        "user": ["007", None],
        "item": ["1e3", None],
    }


@pytest.mark.parametrize("name", ["pairs", "pairs.xlsx", "pairs.csv.gz", ".parquet"])
def test_a_suffix_that_tells_no_format_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="tells no format. Name a file that ends in .parquet"):
        check_format(Path(name))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "cannot be read as CSV in UTF-8"),
        ("t.csv", "user,item\nAm\u00e9lie,1\n".encode("latin-1"), "cannot be read as CSV in UTF-8"),
        ("t.csv", b"user,item\n1,2,3,4\n", "cannot be read as CSV in UTF-8"),
        ("t.csv", b'user,item\n"1,1\n2,2\n', "cannot be read as CSV in UTF-8"),
        ("t.tsv", None, "cannot be read as TSV in UTF-8"),
        ("t.parquet", b"user,item\n", "cannot be read as Parquet"),
        ("t.parquet", None, "cannot be read as Parquet"),
    ],
)
def test_what_is_not_of_its_format_is_named(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    from corarec.score.formats import readable

    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught, readable(path):
        scan(path).collect()
    told = str(caught.value)
    assert told.startswith(str(path))
    assert "\n" not in told
    assert "=True" not in told  # advice to programmers, of the library that reads it


def test_lists_do_not_go_into_text() -> None:
    schema = pl.Schema({"user": pl.String(), "tags": pl.List(pl.String())})
    check_writable(schema, Path("in.parquet"), Path("out.parquet"))
    with pytest.raises(DataError, match=r"'tags' holds List\(String\), which \.csv cannot hold"):
        check_writable(schema, Path("in.parquet"), Path("out.csv"))


def test_names_with_wildcards_are_names(tmp_path: Path) -> None:
    for name in ("a[1].csv", "a1.csv", "a*.csv"):
        (tmp_path / name).write_text(f"user,item\nu,{name}\n")
    for name in ("a[1].csv", "a*.csv"):
        assert scan(tmp_path / name).collect().rows() == [("u", name)]


def test_two_columns_of_one_name_and_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "twice.csv").write_text("user,item,user\nu,i,v\n")
    with pytest.raises(DataError, match=r"twice\.csv has two columns called 'user'"):
        scan(tmp_path / "twice.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for name in ("pipe.csv", "folder.csv"):
        with pytest.raises(DataError, match=f"{name} is a folder, a pipe or a device"):
            scan(tmp_path / name)
