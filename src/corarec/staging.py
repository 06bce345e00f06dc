"""Temporary folders beside what is written, and the sweeping of those whose writer died.

A temporary folder is called `.corarec-HOST-RANDOM.tmp` and is locked (`flock`) by its writer for as
long as the writer lives: the lock, not a process number, tells the living from the dead, so it
holds across containers and after a restart. What is being written lies in `new/`, what stood there
before is moved to `old/` for the moment of the exchange, and is put back if that was cut in two.
"""

import errno
import hashlib
import os
import re
import shutil
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has no such locks: there nothing is swept
    fcntl: Any = None  # type: ignore[no-redef]

NEW, OLD = "new", "old"
_NAME = re.compile(r"\.corarec-([0-9a-f]{8})-[0-9a-f]{8}\.tmp")
_STRANGERS_SECONDS = 24 * 3600.0
"""Locks may not reach other hosts: what they left is swept after a day of silence only."""


@contextmanager
def temporary_folder(parent: Path) -> Iterator[Path]:
    """Yield a fresh, locked folder in `parent` with the empty folders `new` and `old`.

    Leftovers of dead writers in `parent` are swept first. At the end the folder goes, after
    anything in `old` whose place is empty was put back; so do folders that were made for it, where
    the block fails.
    """
    made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent)
    temporary, lock = _locked_folder(parent)
    try:
        (temporary / NEW).mkdir()
        (temporary / OLD).mkdir()
        yield temporary
    except BaseException:
        _remove(temporary)
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise
    else:
        _remove(temporary)
    finally:
        os.close(lock)


def sweep(parent: Path) -> None:
    """Remove what dead writers left in a folder, and put back what they had just moved away."""
    try:
        leftovers = [path for path in parent.iterdir() if _NAME.fullmatch(path.name)]
    except OSError:
        return
    for leftover in leftovers:
        with suppress(OSError), held(leftover) as free:
            if free and (
                _is_of_this_host(leftover) or _idle_seconds(leftover) > _STRANGERS_SECONDS
            ):
                _remove(leftover)


@contextmanager
def held(folder: Path) -> Iterator[bool]:
    """Hold a folder's lock for the block; yield False where a living process holds it.

    False, too, where the file system knows no locks.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield _lock(descriptor, wait=False)
    finally:
        os.close(descriptor)


def exchange(new: Path, target: Path, old: Path) -> None:
    """Put `new` in the place of `target`, which is moved to `old`; both or neither.

    A process killed between the two renames leaves the old one in a temporary folder, from where
    `sweep` puts it back.
    """
    if target.exists():
        target.rename(old)
    new.rename(target)
    sync_folder(target.parent)


def sync_tree(path: Path) -> None:
    """Force a file, or every file and folder of a tree, to disk."""
    if path.is_dir():
        for entry in path.iterdir():
            if not entry.is_symlink():
                sync_tree(entry)
        sync_folder(path)
        return
    with path.open("rb") as written:
        os.fsync(written.fileno())


def sync_folder(path: Path) -> None:
    """Force a folder's list of names to disk, where the system can."""
    if fcntl is None:
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems sync files only
            raise
    finally:
        os.close(descriptor)


def _locked_folder(parent: Path) -> tuple[Path, int]:
    while True:
        folder = parent / f".corarec-{_this_host()}-{uuid.uuid4().hex[:8]}.tmp"
        folder.mkdir()
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY)
            _lock(descriptor, wait=True)
            # Another process may have swept the folder before it was locked.
            if folder.exists() and os.path.samestat(folder.stat(), os.fstat(descriptor)):
                return folder, descriptor
            os.close(descriptor)


def _lock(descriptor: int, *, wait: bool) -> bool:
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _remove(temporary: Path) -> None:
    old = temporary / OLD
    if old.is_dir():
        for moved in list(old.iterdir()):
            home = temporary.parent / moved.name
            if not os.path.lexists(home):
                moved.rename(home)
        # Out of the way before it is deleted file by file: a half may never be put back.
        old.rename(temporary / "done")
    shutil.rmtree(temporary, ignore_errors=True)


def _this_host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _is_of_this_host(leftover: Path) -> bool:
    match = _NAME.fullmatch(leftover.name)
    return match is not None and match[1] == _this_host()


def _idle_seconds(folder: Path) -> float:
    return time.time() - max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
