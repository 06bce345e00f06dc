"""The interface of a source."""

from abc import abstractmethod
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from corarec.data.inputs import InputFiles
from corarec.data.raw import RawData
from corarec.data.reading import readable
from corarec.errors import ConfigError
from corarec.types import Config


class Source(Config):
    """Where interactions come from; the fields of a subclass are its options."""

    @abstractmethod
    def load(self, path: Path | None) -> tuple[RawData, dict[str, str]]:
        """Return the data and the SHA-256 of every input file by name.

        Raises
        ------
        ConfigError
            `path` is missing, or given where none is wanted.
        DataError
            A file is missing, damaged or holds something else; names file and row.
        """


class FileSource(Source):
    """A format of files."""

    most_unpacked_gb: float | None = Field(default=None, gt=0, le=10_000)
    """size of a compressed file when it is unpacked in memory; None: 250 times its size on disk"""

    def load(self, path: Path | None) -> tuple[RawData, dict[str, str]]:
        """Read the files under `path`, a folder, a zip or a file."""
        if path is None:
            raise ConfigError("This source reads files; say where they are with --input PATH.")
        bound = self.most_unpacked_gb
        files = InputFiles(path, None if bound is None else int(bound * 2**30))
        with readable(path):
            raw = self.read(files)
        facts = replace(raw.facts, notes=(*files.notes, *raw.facts.notes))
        return replace(raw, facts=facts), files.fingerprints()

    @abstractmethod
    def read(self, files: InputFiles) -> RawData:
        """Read the input; big tables lazily.

        Raises
        ------
        DataError
            A file is missing, damaged or holds something else; names file and row.
        """


def joined(names: list[str], folder: Path) -> Path:
    """Name several files of one folder, for a message."""
    return folder / " + ".join(names)
