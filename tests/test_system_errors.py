import errno
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import save_file

from corarec.errors import CorarecError, DataError, StorageError
from corarec.files import atomic_directory, atomic_file, write_json
from corarec.system_errors import storage_errors, storage_message, system_message


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, "The disk is full. Free some space"),
        (errno.EACCES, "Change the permissions, or choose another place"),
        (errno.EROFS, "can only be read"),
        (errno.ENAMETOOLONG, "Choose a shorter one"),
        (errno.ENOTDIR, "is a file where a folder is wanted"),
        (errno.EISDIR, "Name a file"),
        (errno.EBUSY, "Choose a folder inside it"),
        (errno.ENXIO, "Check the path and the disk"),
    ],
)
def test_each_error_names_its_file_and_what_to_do(code: int, advice: str) -> None:
    message = storage_message(OSError(code, "words", "/some/file"))
    assert message.startswith("/some/file: ")
    assert advice in message
    assert storage_message(OSError(code, "words"), Path("given")).startswith("given: ")
    assert advice in storage_message(OSError(f"words (os error {code})"))
    assert advice in str(system_message(RuntimeError(f"words (os error {code})")))


def test_messages_of_libraries_in_this_class_are_left_as_they_are() -> None:
    assert storage_message(OSError("no such model on the hub")) == "no such model on the hub"


def test_what_is_no_error_of_the_system_is_none_of_its_messages() -> None:
    assert system_message(ValueError("something else")) is None
    with pytest.raises(ValueError, match="null") as caught:
        Path("a\0b").read_text()
    assert "NUL character" in str(system_message(caught.value))


def test_both_names_of_a_rename_are_told() -> None:
    message = storage_message(OSError(errno.EXDEV, "words", "/a", None, "/b"))
    assert message.startswith("/a and /b: ")


def test_errors_of_corarec_and_others_pass() -> None:
    with pytest.raises(DataError, match="mine"), storage_errors(Path("x")):
        raise DataError("mine")
    with pytest.raises(KeyError), storage_errors(Path("x")):
        raise KeyError("x")


@pytest.fixture
def small_files_only() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


FRAME = pl.DataFrame({"a": [str(n * 7919 % 1_000_003) for n in range(100_000)]})
WRITERS: dict[str, Callable[[Path], object]] = {
    "python": lambda path: path.write_bytes(b"x" * 100_000),
    "parquet": FRAME.write_parquet,
    "csv": lambda path: FRAME.lazy().sink_csv(path),
    "safetensors": lambda path: save_file({"a": torch.ones(100_000)}, path),
    "torch": lambda path: torch.save({"a": torch.ones(100_000)}, path),
}


@pytest.mark.usefixtures("small_files_only")
@pytest.mark.parametrize("name", WRITERS)
def test_what_the_system_refuses_leaves_nothing_and_the_old_as_it_was(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "f").write_text("old")
    for target in (tmp_path / "f", tmp_path / "new" / "f"):
        refused = pytest.raises(StorageError, match="limit|could not be written in full")
        with refused as caught, atomic_file(target) as path:
            WRITERS[name](path)
        assert str(caught.value).startswith(str(tmp_path))
    with pytest.raises(StorageError), atomic_directory(tmp_path / "folder", "toy") as folder:
        WRITERS[name](folder / "f")
    assert (tmp_path / "f").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("file/x/y", "a file where a folder is wanted|A file stands where"),
        ("n" * 300, "Choose a shorter one"),
        ("a\0b", "NUL character"),
        ("folder", "is a folder, and a file is to be written"),
        ("dangling", "is a symbolic link to nowhere, which does not exist"),
        ("circle", "is a symbolic link to circle"),
    ],
)
def test_a_place_that_cannot_be_written_is_said_plainly(
    tmp_path: Path, place: str, message: str
) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(CorarecError, match=message):
        write_json(tmp_path / place, {})
    assert sorted(tmp_path.iterdir()) == before
    assert (tmp_path / "file").read_text() == "mine"


def test_too_little_memory_is_told_without_a_traceback() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60)
    for error in (caught.value, MemoryError(), torch.OutOfMemoryError("CUDA out of memory.")):
        message = system_message(error)
        assert message is not None
        assert message.startswith("There is not enough memory (")
        assert "Choose smaller sizes" in message
