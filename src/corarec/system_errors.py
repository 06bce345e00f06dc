"""What the operating system says, told so that a user can act on it."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corarec.errors import CorarecError, StorageError
from corarec.text import printable

_ADVICE = {
    errno.ENOSPC: "The disk is full. Free some space, then give the same command again.",
    errno.EDQUOT: "Your quota is used up. Free some space, then give the same command again.",
    errno.EFBIG: "The file is larger than the system allows. Raise the limit (`ulimit -f`), or "
    "write to another disk.",
    errno.EACCES: "You may not read or write there. Change the permissions, or choose another "
    "place.",
    errno.EPERM: "The system does not permit it. Change the permissions, or choose another place.",
    errno.EROFS: "That disk can only be read. Choose a place on another one.",
    errno.ENAMETOOLONG: "The name is longer than the system allows. Choose a shorter one.",
    errno.ENOTDIR: "A part of this path is a file where a folder is wanted. Choose another path.",
    errno.EISDIR: "This is a folder where a file is wanted. Name a file.",
    errno.EEXIST: "A file stands where a folder is wanted. Choose another path.",
    errno.ENOENT: "It does not exist. Check the path.",
    errno.ELOOP: "Its symbolic links lead in a circle. Name the place itself.",
    errno.EBUSY: "It is in use, perhaps as the place where a disk is mounted. Choose a folder "
    "inside it.",
    errno.EXDEV: "It is the place where another disk is mounted. Choose a folder inside it.",
    errno.EMFILE: "Too many files are open. Raise the limit (`ulimit -n`).",
    errno.EIO: "The disk failed. Check it before you go on.",
}

_NO_MEMORY = ("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc")
"""what torch and the libraries under it say, each with an error class of its own"""


def system_message(error: Exception) -> str | None:
    """Return what a user is told of an error that the operating system caused; `None` of others."""
    if isinstance(error, OSError):
        return storage_message(error)
    if isinstance(error, MemoryError) or any(word in str(error).lower() for word in _NO_MEMORY):
        return (
            f"There is not enough memory ({printable(error, 200) or 'no more is given'}). Choose "
            "smaller sizes (of vectors, batches, candidates), or a machine with more memory."
        )
    if isinstance(error, ValueError) and "embedded null" in str(error):
        return "A path has a NUL character in it, which no file name can have. Remove it."
    if code := _code_in_words(error):
        return storage_message(OSError(code, str(error)))
    return None


def storage_message(error: OSError, path: Path | None = None) -> str:
    """Return what a user is told of an error of the operating system.

    Parameters
    ----------
    error
        Names its file itself, as Python's own functions do, or does not.
    path
        The file, for an error that does not name it.
    """
    code = error.errno or _code_in_words(error)
    if code is None:  # no error of the system: libraries use the class for messages of their own
        return str(error) or type(error).__name__
    first = path if error.filename is None else error.filename
    # A name can be a file descriptor, too, or missing.
    names = [
        os.fsdecode(name)
        for name in (first, error.filename2)
        if isinstance(name, str | bytes | Path)
    ]
    where = " and ".join(names) or error.strerror or str(error)
    advice = _ADVICE.get(code, "Check the path and the disk, then give the same command again.")
    return f"{where}: {os.strerror(code)} (error {code}). {advice}"


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the system says while `path` is written into a `StorageError`.

    Raises
    ------
    StorageError
        An `OSError` came, or what libraries in Rust and C++ make of one.
    """
    try:
        yield
    except CorarecError:
        raise
    except OSError as error:
        raise StorageError(storage_message(error, path)) from error
    except Exception as error:
        if code := _code_in_words(error):
            raise StorageError(storage_message(OSError(code, ""), path)) from error
        if isinstance(error, RuntimeError) and "inline_container" in str(error):
            raise StorageError(
                f"{path}: it could not be written in full. Is the disk full? Free some space, then "
                "give the same command again."
            ) from error
        raise


def _code_in_words(error: Exception) -> int | None:
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None
