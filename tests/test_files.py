import os
from pathlib import Path

import pytest

from corarec.errors import ArtifactError, ConfigError, StorageError
from corarec.files import (
    atomic_directory,
    atomic_file,
    read_json,
    real_place,
    remove_directory,
    sha256,
    write_json,
)
from corarec.ownership import MARKER


def test_a_file_appears_only_when_the_block_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "a" / "file.txt"
    with pytest.raises(RuntimeError, match="half way"), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("half way")
    assert list(tmp_path.iterdir()) == []
    with atomic_file(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list((tmp_path / "a").iterdir()) == [target]


def test_a_folder_replaces_the_old_one_only_when_the_block_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "run"
    with atomic_directory(target, "toy") as temporary:
        (temporary / "x").write_text("old")
    with (
        pytest.raises(RuntimeError, match="half way"),
        atomic_directory(target, "toy") as temporary,
    ):
        (temporary / "x").write_text("new")
        raise RuntimeError("half way")
    assert (target / "x").read_text() == "old"
    with atomic_directory(target, "toy") as temporary:
        (temporary / "y").write_text("new")
    assert sorted(p.name for p in target.iterdir()) == [MARKER, "y"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    refused = pytest.raises(ConfigError, match="files that corarec did not write")
    with refused, atomic_directory(tmp_path, "toy"):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_what_appears_while_the_folder_is_written_is_seen(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with pytest.raises(ConfigError, match="thesis"), atomic_directory(target, "toy"):
        with atomic_directory(target, "toy"):
            pass
        (target / "thesis.txt").write_text("mine")
    assert (target / "thesis.txt").read_text() == "mine"


def test_inside_a_run_what_is_foreign_is_kept_under_another_name(tmp_path: Path) -> None:
    for text in ("one", "two"):
        (tmp_path / "best").mkdir(exist_ok=True)
        (tmp_path / "best" / "notes.txt").write_text(text)
        with atomic_directory(tmp_path / "best", "weights", keep_foreign=True) as folder:
            (folder / "w").write_text("w")
    assert sorted(path.name for path in (tmp_path / "best").iterdir()) == [MARKER, "w"]
    assert (tmp_path / "best.kept-1" / "notes.txt").read_text() == "one"
    assert (tmp_path / "best.kept-2" / "notes.txt").read_text() == "two"


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with atomic_directory(tmp_path / "a", "toy") as folder:
        (folder / "x").touch()
    assert (tmp_path / "a" / "x").exists()


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    with atomic_directory(tmp_path / "disk" / "a", "toy"):
        pass
    (tmp_path / "disk" / "f").write_text("old")
    for name in "af":
        (tmp_path / name).symlink_to(tmp_path / "disk" / name)
    with atomic_directory(tmp_path / "a", "toy") as folder:
        (folder / "x").write_text("new")
    with atomic_file(tmp_path / "f") as path:
        path.write_text("new")
    assert (tmp_path / "a").is_symlink()
    assert (tmp_path / "f").is_symlink()
    assert (tmp_path / "disk" / "a" / "x").read_text() == "new"
    assert (tmp_path / "disk" / "f").read_text() == "new"


def test_a_device_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="no plain file"), atomic_file(tmp_path / "pipe"):
        pass
    assert (tmp_path / "pipe").is_fifo()


def test_only_a_folder_of_its_own_kind_is_removed(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with atomic_directory(tmp_path / name, "toy") as folder:
            (folder / "x").touch()
    (tmp_path / "b" / "notes.txt").write_text("mine")
    for name in ("a", "b", "nothing"):
        remove_directory(tmp_path / name, "toy")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
    remove_directory(tmp_path / "b", "game")
    assert (tmp_path / "b" / "notes.txt").exists()


def test_the_root_is_no_output() -> None:
    with pytest.raises(ConfigError, match="root of the disk"):
        real_place(Path("/"))


def test_json_survives_the_way_to_disk_and_back(tmp_path: Path) -> None:
    write_json(tmp_path / "card.json", {"title": "Amélie", "counts": [1, 2]})
    assert read_json(tmp_path / "card.json") == {"title": "Amélie", "counts": [1, 2]}


def test_a_missing_or_cut_off_json_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"card\.json does not exist"):
        read_json(tmp_path / "card.json")
    (tmp_path / "card.json").write_text('{"a": ')
    with pytest.raises(ArtifactError, match=r"card\.json is not whole JSON"):
        read_json(tmp_path / "card.json")


def test_the_fingerprint_is_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"abc")
    assert sha256(tmp_path / "f").startswith("ba7816bf8f01cfea")


@pytest.mark.parametrize("content", ["9" * 10_000, "[" * 100_000, "\x00"])
def test_json_that_python_cannot_hold_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "card.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"card\.json is not whole JSON"):
        read_json(tmp_path / "card.json")


def test_a_file_for_a_folder_of_json_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StorageError, match="is a file where a folder is wanted"):
        read_json(tmp_path / "data" / "card.json")
