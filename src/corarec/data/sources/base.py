"""The interface of a source."""

from abc import abstractmethod
from pathlib import Path

from corarec.data.inputs import InputFiles
from corarec.data.raw import RawData
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

    def load(self, path: Path | None) -> tuple[RawData, dict[str, str]]:
        """Read the files under `path`, a folder, a zip or a file."""
        if path is None:
            raise ConfigError("This source reads files; say where they are with --input PATH.")
        files = InputFiles(path)
        raw = self.read(files)
        return raw, files.fingerprints()

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
