import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from corarec import staging
from corarec.errors import StorageError
from corarec.files import atomic_directory, atomic_file, recover
from corarec.staging import NEW, OLD, held, sweep, temporary_folder


def killed(run: Callable[[], None]) -> None:
    """Run something that kills its own process, in another one."""
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_next_write_sweeps_what_a_killed_writer_left(tmp_path: Path) -> None:
    def half() -> None:
        with atomic_directory(tmp_path / "a", "toy") as folder:
            (folder / "half").write_text("half")
            die()

    killed(half)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".corarec-")
    with atomic_file(tmp_path / "other") as path:
        path.write_text("whole")
    assert names(tmp_path) == ["other"]


def test_what_a_living_writer_has_is_left_alone(tmp_path: Path) -> None:
    with atomic_directory(tmp_path / "a", "toy") as folder:
        (folder / "x").write_text("mine")
        sweep(tmp_path)
        with atomic_file(tmp_path / "b") as path:
            path.write_text("too")
        assert (folder / "x").read_text() == "mine"
    assert (tmp_path / "a" / "x").read_text() == "mine"
    assert names(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("moment", ["between the renames", "after them", "while the old one goes"])
def test_killed_in_a_replacement_the_old_or_the_new_is_there_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    target = tmp_path / "a"

    def write(text: str) -> None:
        with atomic_directory(target, "toy") as folder:
            for name in "xyz":
                (folder / name).write_text(text)

    def replace() -> None:
        rename = Path.rename

        def renamed(path: Path, to: Path) -> Path:
            if moment == "between the renames" and path.parent.name == NEW:
                die()
            return rename(path, to)

        monkeypatch.setattr(Path, "rename", renamed)
        if moment == "after them":

            def synced(path: Path) -> None:
                if path == tmp_path:
                    die()

            monkeypatch.setattr(staging, "sync_folder", synced)
        if moment == "while the old one goes":

            def half(path: Path, **_: object) -> None:
                next(path.glob("*/a/x")).unlink()
                die()

            monkeypatch.setattr(shutil, "rmtree", half)
        write("new")

    write("old")
    killed(replace)
    assert target.exists() is (moment != "between the renames")
    recover(target)
    wanted = "old" if moment == "between the renames" else "new"
    assert [(target / name).read_text() for name in "xyz"] == [wanted] * 3
    sweep(tmp_path)
    assert names(tmp_path) == ["a"]


def test_half_of_an_old_folder_is_never_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replace() -> None:
        with temporary_folder(tmp_path) as temporary:
            (tmp_path / "a").rename(temporary / OLD / "a")
            (tmp_path / "a").mkdir()
            monkeypatch.setattr(shutil, "rmtree", lambda path, **_: die())

    (tmp_path / "a").mkdir()
    killed(replace)
    (tmp_path / "a").rmdir()
    sweep(tmp_path)
    assert names(tmp_path) == []


def test_a_failing_rename_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with atomic_directory(tmp_path / "a", "toy") as folder:
        (folder / "x").write_text("old")
    rename = Path.rename

    def renamed(path: Path, to: Path) -> Path:
        if path.parent.name == NEW:
            raise PermissionError(13, "no", str(path))
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", renamed)
    refused = pytest.raises(StorageError, match="may not read or write")
    with refused, atomic_directory(tmp_path / "a", "toy") as folder:
        (folder / "x").write_text("new")
    assert (tmp_path / "a" / "x").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_leftovers_of_another_host_wait_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".corarec-00000000-12345678.tmp"
    (left / NEW).mkdir(parents=True)
    (left / NEW / "x").touch()
    sweep(tmp_path)
    assert left.exists()
    for path in (left, left / NEW, left / NEW / "x"):
        os.utime(path, (0, 0))
    sweep(tmp_path)
    assert not left.exists()


def test_what_only_looks_like_a_leftover_stays(tmp_path: Path) -> None:
    mine = [".corarec-notes.tmp", ".corarec-12345678-12345678.tmp.bak", ".x.tmp"]
    for name in mine:
        (tmp_path / name).mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == sorted(mine)


def test_a_held_folder_is_free_again_after_the_block(tmp_path: Path) -> None:
    with held(tmp_path) as first, held(tmp_path) as second:
        assert (first, second) == (True, False)
    with held(tmp_path) as again:
        assert again


def test_folders_made_on_the_way_go_when_the_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), atomic_file(tmp_path / "a" / "b" / "c"):
        raise KeyError
    assert names(tmp_path) == []


def test_all_is_forced_to_disk_before_and_after_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def renamed(path: Path, to: Path) -> Path:
        if path.parent.name == NEW:
            events.append("rename")
        return rename(path, to)

    if not Path("/proc/self/fd").exists():
        pytest.skip("no /proc to name descriptors")
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    with atomic_directory(tmp_path / "a", "toy") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "x").write_text("x")
    before, after = events[: events.index("rename")], events[events.index("rename") + 1 :]
    assert {"x", "deep", ".corarec.json", "a"} <= set(before)
    assert before.index("x") < before.index("deep") < before.index("a")
    assert after == [tmp_path.name]
    events.clear()
    with atomic_file(tmp_path / "f") as path:
        path.write_text("f")
    assert events == ["f", tmp_path.name]
