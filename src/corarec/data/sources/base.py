"""The interface of a source."""

from abc import abstractmethod
from pathlib import Path

from corarec.data.inputs import InputFiles
from corarec.data.raw import RawData
from corarec.types import Config


class Source(Config):
    """A format that interactions come in; the fields of a subclass are its options."""

    @abstractmethod
    def read(self, files: InputFiles) -> RawData:
        """Read the input.

        Raises
        ------
        DataError
            A file is missing, damaged or holds something else; names file and row.
        """


def joined(paths: list[str], folder: Path) -> Path:
    """Name several files of one folder for a message."""
    return folder / " + ".join(paths)
