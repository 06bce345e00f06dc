import gzip
import os
import zipfile
from pathlib import Path

import polars as pl
import pytest

from corarec.data.inputs import InputFiles
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


def test_a_gzip_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"a,b\n" + bytes(70 * 2**20)))
    files = InputFiles(tmp_path)
    for read in (files.text, lambda name: files.table(name, separator=",")):
        with pytest.raises(DataError, match=r"unpacks to more than 67,108,864 bytes from"):
            read("a.csv.gz")


@pytest.mark.parametrize("claimed", [None, 10, 2**31])
def test_a_zip_bomb_is_refused_whatever_it_claims(tmp_path: Path, claimed: int | None) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", b"a,b\n" + b"1,2\n" * (20 * 2**20))
    if claimed is not None:
        content = bytearray(path.read_bytes())
        real = (4 + 4 * 20 * 2**20).to_bytes(4, "little")
        while (place := content.find(real)) >= 0:
            content[place : place + 4] = claimed.to_bytes(4, "little")
        path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="unpacks to more than|cut off or damaged"):
        InputFiles(path).text("a.csv")


def test_the_bound_can_be_raised_and_lowered(tmp_path: Path) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"x" * 70 * 2**20))
    assert len(InputFiles(tmp_path, 2**27).read("a.csv.gz")) == 70 * 2**20
    with pytest.raises(DataError, match="more than 1,000 bytes"):
        InputFiles(tmp_path, 1_000).read("a.csv.gz")


def test_members_outside_of_the_archive_are_read_inside(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../etc/a.csv", "x")
        archive.writestr("/root/b.csv", "y")
        archive.writestr("n\x1b[31m.csv", "z")
    files = InputFiles(path)
    assert files.text(files.require("a.csv")) == "x"
    for name in files.names:
        assert files.where(name).is_relative_to(path)
        assert ".." not in files.where(name).parts
    with pytest.raises(DataError, match=r"no file c\.csv.*n\\x1b"):
        files.require("c.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]


def test_an_encrypted_zip(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "x" * 100)
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.find(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="is encrypted.*Unpack it yourself"):
        InputFiles(path).text("a.csv")


def test_far_too_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corarec.data.inputs.MOST_MEMBERS", 3)
    for n in range(4):
        (tmp_path / f"{n}.csv").touch()
    with pytest.raises(DataError, match="holds 4 files"):
        InputFiles(tmp_path)


def test_a_name_that_is_too_long() -> None:
    with pytest.raises(DataError, match="cannot be read|does not exist"):
        InputFiles(Path("x" * 5_000))


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    for path in (tmp_path / "pipe.csv", Path("/dev/null")):
        with pytest.raises(DataError, match=r"(pipe\.csv|null) is a pipe or a device"):
            InputFiles(path)


def test_names_with_wildcards_are_names(tmp_path: Path) -> None:
    for name in ("a[1].csv", "a1.csv"):
        (tmp_path / name).write_text(f"user\n{name}\n")
    for name in ("a[1].csv", "a1.csv"):
        table = InputFiles(tmp_path / name).table(name, separator=",").collect()
        assert table["user"].to_list() == [name]
    pl.DataFrame({"user": ["u"]}).write_parquet(tmp_path / "b[1].parquet")
    table = InputFiles(tmp_path / "b[1].parquet").parquet("b[1].parquet").collect()
    assert table["user"].to_list() == ["u"]
