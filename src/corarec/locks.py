"""One writer at a time, told by a lock of the operating system."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from corarec.errors import InUseError
from corarec.system_errors import storage_errors

LOCK = ".lock"
"""The lock of a folder that is written over hours."""
OWNER_SUFFIX = ".owner"


def lock_beside(output: Path) -> Path:
    """Return the lock of an output that is replaced as a whole, and so cannot hold its own."""
    return output.with_name(f".{output.name}{LOCK}")


def locked_output(output: Path | None) -> AbstractContextManager[None]:
    """Hold the lock beside an output for a block, if there is one; see `locked`."""
    if output is None:
        return nullcontext()
    return locked(lock_beside(output), f"The output {output}")


@contextmanager
def made_once(output: Path) -> Iterator[bool]:
    """Yield whether an output has yet to be made, after whoever else was making it.

    Several processes that need the same thing so wait for the one that came first.
    """
    lock = FileLock(output.with_name(f".{output.name}.wait"))
    with storage_errors(output):
        output.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    try:
        yield not output.exists()
    finally:
        lock.release()


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path` for the block; `what` says in the error what is in use.

    The system frees the lock when its process ends, however it ends, so none is ever stale; the
    file that a killed process leaves means nothing. Who holds it stands beside, in `PATH.owner`,
    because Windows lets nobody read a locked file.

    Raises
    ------
    InUseError
        Another process, or this one elsewhere, holds it; names the process, the host and since
        when.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    owner = path.with_name(path.name + OWNER_SUFFIX)
    try:
        lock.acquire()
    except Timeout:
        raise InUseError(
            f"{what} is in use: {_described(owner)} is writing there. Wait until it has ended, "
            "stop it, or choose another --output."
        ) from None
    try:
        owner.write_text(json.dumps(_this_process()), "utf-8")
        yield
    finally:
        # Before the release: whoever comes next makes its own files.
        for file in (owner, path):
            with suppress(OSError):
                file.unlink()
        lock.release()


def _this_process() -> dict[str, str | int]:
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return {"pid": os.getpid(), "host": socket.gethostname(), "since": since}


def _described(owner: Path) -> str:
    try:
        values = json.loads(owner.read_text("utf-8"))
        return f"process {values['pid']} on {values['host']}, since {values['since']},"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
