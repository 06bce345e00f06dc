"""Finished pieces of a long work, kept in a folder beside what will be made of them."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from corarec.errors import ArtifactError
from corarec.files import atomic_file, read_json, write_json
from corarec.locks import lock_beside, locked
from corarec.staging import NEW, sweep, temporary_folder
from corarec.types import FloatArray

log = logging.getLogger(__name__)

OWNER = "source.json"
PAIRS = "pairs.parquet"
_OURS = re.compile(
    rf"{re.escape(OWNER)}|{re.escape(PAIRS)}|\d{{9}}\.npy|\d{{12}}\.parquet|\d+\.log"
)


class Parts:
    """The pieces that are done, a file for each, named by its number.

    Each appears whole or not at all, so that whoever is killed at any moment leaves those that were
    done, and the same work goes on with the others.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def claim(cls, folder: Path, owner: Mapping[str, Any]) -> Self:
        """Take a folder for the parts of a work; those of another work that lie there go.

        Parameters
        ----------
        owner
            Whatever the pieces follow from.

        Raises
        ------
        ArtifactError
            Something lies there that corarec did not write.
        """
        sweep(folder)
        if folder.exists() and (foreign := _foreign(folder)):
            raise ArtifactError(
                f"{folder} is where unfinished parts go, but {foreign} there is not from corarec. "
                "Move it away, or choose another --output."
            )
        parts = cls(folder)
        owner = json.loads(json.dumps(owner))
        if folder.exists() and _owner(folder) != owner:
            if len(list(folder.iterdir())) > 1:
                log.warning(
                    "The unfinished parts in %s were of other pairs, another run or another "
                    "version: they are discarded.",
                    folder,
                )
            parts.remove()
        write_json(folder / OWNER, owner)
        return parts

    @classmethod
    @contextmanager
    def held(cls, output: Path, what: str, owner: Mapping[str, Any]) -> Iterator[Self]:
        """Hold the lock and the parts of an output for the block; they go when it succeeds.

        Parameters
        ----------
        what
            The output in words, for errors.
        owner
            As in `claim`.

        Raises
        ------
        InUseError
            Another process makes this output.
        ArtifactError
            As `claim`.
        """
        with locked(lock_beside(output), what):
            parts = cls.claim(output.with_name(f"{output.name}.parts"), owner)
            yield parts
            parts.remove()

    def done(self) -> set[int]:
        """Return the numbers of the pieces that are there and whole."""
        return {
            int(path.stem)
            for path in self.folder.glob("*.npy")
            if self._read(int(path.stem)) is not None
        }

    def write(self, number: int, values: FloatArray) -> None:
        """Keep a piece."""
        with atomic_file(self._path(number)) as temporary:
            np.save(temporary, values, allow_pickle=False)

    def read(self, number: int) -> FloatArray:
        """Return a piece.

        Raises
        ------
        ArtifactError
            It is not there, or damaged.
        """
        values = self._read(number)
        if values is None:
            raise ArtifactError(
                f"{self._path(number)} is gone or damaged. Give the same command again: it makes "
                "that part anew."
            )
        return values

    def forget(self, number: int) -> None:
        """Remove a piece that is no longer needed."""
        self._path(number).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove the folder at once, unless something lies there that corarec did not write."""
        if _foreign(self.folder) is None:
            with temporary_folder(self.folder.parent) as temporary:
                self.folder.rename(temporary / NEW / self.folder.name)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:09d}.npy"

    def _read(self, number: int) -> FloatArray | None:
        try:
            values: FloatArray = np.load(self._path(number), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return values


def _owner(folder: Path) -> Any:
    try:
        return read_json(folder / OWNER)
    except ArtifactError:
        return None


def _foreign(folder: Path) -> str | None:
    """Return the name of something in the folder of the parts that was not written here."""
    if not folder.is_dir():
        return folder.name
    there = sorted(path.name for path in folder.iterdir())
    if OWNER not in there:
        return there[0] if there else None
    return next((name for name in there if not _OURS.fullmatch(name)), None)
