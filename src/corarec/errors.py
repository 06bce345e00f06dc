"""Errors that a user can act on.

Every message says what came, what was wanted and what to do next, and names the file and the row
where there is one.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from corarec.text import printable_lines


class CorarecError(Exception):
    """Base of every error raised on purpose; the command line prints its message alone.

    What the message quotes of files and options cannot steer a terminal.
    """

    def __str__(self) -> str:
        return printable_lines(super().__str__())


class DataError(CorarecError, ValueError):
    """The input data cannot be used as it is."""


class ConfigError(CorarecError, ValueError):
    """A recipe, an option or a combination of them is wrong."""


class ArtifactError(CorarecError, ValueError):
    """A file that was written earlier (dataset, vectors, run, checkpoint) is damaged or foreign."""


class TrainingError(CorarecError, RuntimeError):
    """Training cannot go on, for example because the loss is not finite."""


class InUseError(CorarecError, RuntimeError):
    """Another process is writing where this one would."""


class StorageError(CorarecError, OSError):
    """The system refused to read or to write: disk full, no permission, a file for a folder."""


class ServiceError(CorarecError, RuntimeError):
    """A service cannot be reached, is too busy, or failed; what it was asked may be right."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question that names the known names nearest to `name`; empty if none is near."""
    near = get_close_matches(name, list(known), n=2, cutoff=0.6)
    return f"Did you mean {' or '.join(map(repr, near))}?" if near else ""
