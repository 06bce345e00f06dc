import os
from pathlib import Path

import pytest

from corarec.errors import ConfigError
from corarec.files import atomic_directory
from corarec.ownership import MARKER, check_inputs_survive, check_replaceable, paths_in, why_kept


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    folder = tmp_path / "ours"
    with atomic_directory(folder, "toy") as temporary:
        (temporary / "x").write_text("x")
        (temporary / "deep").mkdir()
        (temporary / "deep" / "y").write_text("y")
    return folder


def test_nothing_an_empty_folder_and_one_of_the_same_kind_may_be_replaced(
    tmp_path: Path, ours: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("nothing", "empty", "ours"):
        check_replaceable(tmp_path / name, "toy")


def test_another_kind_may_not(ours: Path) -> None:
    with pytest.raises(ConfigError, match=r"another thing that corarec made \(toy, not game\)"):
        check_replaceable(ours, "game")


@pytest.mark.parametrize("name", ["thesis.txt", "deep/notes.txt", ".hidden"])
def test_a_file_added_by_hand_is_named(ours: Path, name: str) -> None:
    (ours / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"did not write: {name}"):
        check_replaceable(ours, "toy")


def test_empty_folders_and_links_added_by_hand_are_named_too(ours: Path, tmp_path: Path) -> None:
    (ours / "photos").mkdir()
    (ours / "link").symlink_to(tmp_path)
    assert why_kept(ours, "toy") == "holds files that corarec did not write: link, photos/"


def test_a_file_changed_by_hand_is_named(ours: Path) -> None:
    (ours / "x").write_text("X")
    with pytest.raises(ConfigError, match=r"changed since corarec wrote them: x\. Nothing was"):
        check_replaceable(ours, "toy")


def test_a_copied_folder_and_one_with_a_file_less_may_be_replaced(ours: Path) -> None:
    os.utime(ours / "x", (1, 1))
    (ours / "deep" / "y").unlink()
    (ours / "deep").rmdir()
    assert why_kept(ours, "toy") is None


@pytest.mark.parametrize("marker", [None, "", "[]", '{"written_by": "me"}', "{"])
def test_without_a_whole_marker_nothing_is_replaced(ours: Path, marker: str | None) -> None:
    (ours / MARKER).unlink()
    if marker is not None:
        (ours / MARKER).write_text(marker)
    with pytest.raises(ConfigError, match="corarec did not write, or has no whole"):
        check_replaceable(ours, "toy")


def test_a_file_is_not_replaced_by_a_folder(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("mine")
    with pytest.raises(ConfigError, match=r"is a file, and a folder \(toy\)"):
        check_replaceable(tmp_path / "f", "toy")


def test_an_output_may_not_be_an_input_by_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    source = folder / "a.csv"
    source.touch()
    (tmp_path / "soft").symlink_to(source)
    (tmp_path / "hard").hardlink_to(source)
    (tmp_path / "way").symlink_to(tmp_path, target_is_directory=True)
    monkeypatch.chdir(folder)
    spelled = ["a.csv", "../in/a.csv", "../soft", "../hard", "../way/in/a.csv", ".", "..", "/"]
    for output in spelled:
        with pytest.raises(ConfigError, match="would overwrite the input"):
            check_inputs_survive(Path(output), [source])
    for output in ("b.csv", "../other", "a.csv.out"):
        check_inputs_survive(Path(output), [source])


def test_paths_are_found_in_nested_options() -> None:
    options = {"a": Path("x"), "b": [1, {"c": (Path("y"), "z")}]}
    assert list(paths_in(options)) == [Path("x"), Path("y")]
