from pathlib import Path

import pytest

from corarec.errors import ArtifactError
from corarec.files import atomic_directory, atomic_file, read_json, sha256, write_json


def test_a_file_appears_only_when_the_block_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "a" / "file.txt"
    with pytest.raises(RuntimeError, match="half way"), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("half way")
    assert list((tmp_path / "a").iterdir()) == []
    with atomic_file(target) as temporary:
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list((tmp_path / "a").iterdir()) == [target]


def test_a_folder_replaces_the_old_one_only_when_the_block_succeeds(tmp_path: Path) -> None:
    target = tmp_path / "run"
    with atomic_directory(target) as temporary:
        (temporary / "x").write_text("old")
    with pytest.raises(RuntimeError, match="half way"), atomic_directory(target) as temporary:
        (temporary / "x").write_text("new")
        raise RuntimeError("half way")
    assert (target / "x").read_text() == "old"
    with atomic_directory(target) as temporary:
        (temporary / "y").write_text("new")
    assert [p.name for p in target.iterdir()] == ["y"]
    assert list(tmp_path.iterdir()) == [target]


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
