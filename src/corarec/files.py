"""Files appear whole or not at all, and nothing that corarec did not write is replaced.

What is written comes to be in a temporary folder beside its place (`staging`), is forced to disk,
and takes its place by one rename. Folders carry a marker of what wrote them (`ownership`).
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from corarec.errors import ArtifactError, ConfigError, StorageError
from corarec.ownership import check_replaceable, mark, why_kept
from corarec.staging import NEW, OLD, exchange, sweep, sync_folder, sync_tree, temporary_folder
from corarec.system_errors import storage_errors, storage_message
from corarec.text import printable


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path of the same name; it takes the place of `path` when the block ends.

    A file that stood there is replaced only then; where `path` is a symbolic link, the file that it
    leads to.

    Raises
    ------
    ConfigError
        A folder stands at `path`, or it is a symbolic link to nothing.
    StorageError
        The system refused: the disk is full, there is no permission, and so on.
    """
    target = real_place(path)
    with storage_errors(path):
        if target.is_dir():
            raise ConfigError(f"{path} is a folder, and a file is to be written. Name a file.")
        if target.exists() and not target.is_file():
            raise ConfigError(f"{path} is no plain file, so it cannot be replaced. Name a file.")
        with temporary_folder(target.parent) as temporary:
            new = temporary / NEW / target.name
            yield new
            sync_tree(new)
            new.replace(target)
            sync_folder(target.parent)


@contextmanager
def atomic_directory(path: Path, kind: str, *, keep_foreign: bool = False) -> Iterator[Path]:
    """Yield a temporary folder of the same name; it takes the place of `path` when the block ends.

    Parameters
    ----------
    path
        Where the folder goes; where it is a symbolic link, the folder that it leads to.
    kind
        What the folder is, such as "dataset": a folder of this kind, just as corarec wrote it, is
        replaced, and so is an empty one.
    keep_foreign
        What becomes of anything else: an error, or (true) it is renamed to `NAME.kept-1`. For
        folders inside of a run, which may not stop for that.

    Raises
    ------
    ConfigError
        Something else stands at `path`; it is left as it was.
    StorageError
        The system refused: the disk is full, there is no permission, and so on.
    """
    target = real_place(path)
    with storage_errors(path):
        if not keep_foreign:
            check_replaceable(target, kind)
        with temporary_folder(target.parent) as temporary:
            new = temporary / NEW / target.name
            new.mkdir()
            yield new
            mark(new, kind)
            sync_tree(new)
            if keep_foreign and why_kept(target, kind):
                target.rename(_free_name(target))
            check_replaceable(target, kind)
            exchange(new, target, temporary / OLD / target.name)


def remove_directory(path: Path, kind: str) -> None:
    """Remove a folder that corarec wrote, at once; leave one in which anything is not its own."""
    with storage_errors(path):
        if path.exists() and why_kept(path, kind) is None:
            with temporary_folder(path.parent) as temporary:
                path.rename(temporary / NEW / path.name)


def recover(path: Path) -> Path:
    """Return `path`, put back first where a process was killed while it replaced it."""
    if not path.exists():
        sweep(path.parent)
    return path


def real_place(path: Path) -> Path:
    """Return where an output goes: absolute, symbolic links followed.

    Raises
    ------
    ConfigError
        It is no name of a place, or a symbolic link to nothing.
    StorageError
        The system refused, for example because the name is too long.
    """
    if "\0" in str(path):
        raise ConfigError(f"The path {str(path)!r} has a NUL character in it. Remove it.")
    with storage_errors(path):
        for part in (path, *path.parents):
            if part.is_symlink() and not part.exists():
                raise ConfigError(
                    f"{part} is a symbolic link to {part.readlink()}, which does not exist. Make "
                    "that first, or choose another place."
                )
        place = Path(os.path.realpath(path))
    if not place.name:
        raise ConfigError(f"{path} is the root of the disk. Choose a place inside it.")
    return place


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.kept-{number}") for number in count(1))
    return next(name for name in names if not os.path.lexists(name))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, atomically."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file that `corarec` wrote.

    Raises
    ------
    ArtifactError
        The file is missing or is not whole JSON.
    StorageError
        The system does not let it be read.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"{path} does not exist, so {path.parent} is not a folder that corarec wrote in full. "
            "Run the command that makes it again."
        ) from None
    except OSError as error:
        raise StorageError(storage_message(error, path)) from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{path} is not whole JSON ({printable(error, 200)}). "
            "Delete it and run the command that wrote it again."
        ) from error


def sha256(path: Path) -> str:
    """Return the SHA-256 fingerprint of a file, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
