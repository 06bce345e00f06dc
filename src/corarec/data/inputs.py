"""Reading what users have on disk: a folder, a zip archive, a file; plain or gzip; any encoding."""

import gzip
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path, PurePosixPath
from typing import IO

import polars as pl

from corarec.data.delimited import Delimited, find_encoding
from corarec.data.reading import read_bounded, readable
from corarec.errors import DataError
from corarec.files import sha256
from corarec.text import printable

MOST_MEMBERS = 100_000


class InputFiles:
    """The files under a path: of a folder, of a zip archive, or one file alone.

    Nothing is ever unpacked to the disk, so what members of an archive are called is harmless.

    Parameters
    ----------
    path
        a folder, a `.zip` archive or a file
    most_unpacked
        bytes that a compressed file may have when it is unpacked in memory; None: 250 times its
        size on disk, 64 MiB at least

    Raises
    ------
    DataError
        There is nothing at `path`, or it is a damaged archive.
    """

    def __init__(self, path: Path, most_unpacked: int | None = None) -> None:
        self.path = Path(path)
        self.notes: list[str] = []
        """what was assumed while reading, for the dataset card"""
        self._most_unpacked = most_unpacked
        self._used: set[Path] = set()
        with readable(self.path):
            if not self.path.exists():
                raise DataError(
                    f"{printable(self.path)} does not exist. Check the path given as --input."
                )
            if not self.path.is_file() and not self.path.is_dir():
                raise DataError(
                    f"{printable(self.path)} is a pipe or a device, and input is read more than "
                    "once. Write it to a file and give that."
                )
            self.is_zip = self.path.is_file() and self.path.suffix.lower() == ".zip"
            self.names = self._list()
        if len(self.names) > MOST_MEMBERS:
            raise DataError(
                f"{printable(self.path)} holds {len(self.names):,} files, more than any source "
                "has. Give the folder or archive of the data alone."
            )

    def _list(self) -> list[str]:
        if self.is_zip:
            with self._archive() as archive:
                return [name for name in archive.namelist() if not name.endswith("/")]
        if self.path.is_file():
            return [self.path.name]
        found = [*self.path.glob("*"), *self.path.glob("*/*")]
        return sorted(file.relative_to(self.path).as_posix() for file in found if file.is_file())

    @contextmanager
    def _archive(self) -> Iterator[zipfile.ZipFile]:
        try:
            with readable(self.path), zipfile.ZipFile(self.path) as archive:
                yield archive
        except (RuntimeError, NotImplementedError) as error:
            raise DataError(
                f"{printable(self.path)} is encrypted or packed in a way that cannot be read "
                f"({printable(error)}). Unpack it yourself and give the folder."
            ) from error
        except (ValueError, OverflowError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{printable(self.path)} is cut off or damaged ({printable(error)}). Get the file "
                "again."
            ) from error

    def find(self, name: str) -> str | None:
        """Return the member with the file name `name`, the least deep one, or None."""
        matches = [member for member in self.names if PurePosixPath(member).name == name]
        return min(matches, key=lambda member: member.count("/"), default=None)

    def require(self, name: str) -> str:
        """Return the member with the file name `name`.

        Raises
        ------
        DataError
            There is none; lists what there is.
        """
        member = self.find(name)
        if member is None:
            there = printable(", ".join(sorted(self.names)[:12]), 400) or "nothing"
            raise DataError(f"{printable(self.path)} has no file {name}; it has {there}.")
        return member

    def where(self, member: str) -> Path:
        """Return the path of a member, for messages and for direct reading out of a folder."""
        if self.is_zip:
            # Never a path that could be taken for one outside of the archive.
            return self.path / printable(member.replace("..", "__").lstrip("/"), 200)
        return self.path if self.path.is_file() else self.path / member

    @contextmanager
    def open(self, member: str) -> Iterator[IO[bytes]]:
        """Open a member for reading, unpacking zip and gzip; damage becomes a `DataError`.

        Read it in pieces of bounded size, or use `read`.
        """
        where = self.where(member)
        self._used.add(self.path if self.is_zip else where)
        with readable(where):
            if self.is_zip:
                with self._archive() as archive, archive.open(member) as stream:
                    yield _unpacked(stream, member)
            else:
                with where.open("rb") as stream:
                    yield _unpacked(stream, member)

    def read(self, member: str) -> bytes:
        """Return a member's whole content, unpacked.

        Raises
        ------
        DataError
            It is damaged, or compressed far better than data ever is.
        """
        where = self.where(member)
        with self.open(member) as stream:
            if not self._is_packed(member):
                return stream.read()
            most = self._most_unpacked
            return read_bounded(stream, where, packed=self._packed_size(member), most=most)

    def _is_packed(self, member: str) -> bool:
        return self.is_zip or member.lower().endswith(".gz")

    def _packed_size(self, member: str) -> int:
        # What an archive says of its members may be a lie; its own size is none.
        whole = self.path.stat().st_size if self.is_zip else self.where(member).stat().st_size
        if not self.is_zip:
            return whole
        with self._archive() as archive:
            return min(whole, archive.getinfo(member).compress_size)

    def text(self, member: str) -> str:
        """Return a member's whole text; any encoding that `find_encoding` knows."""
        content = self.read(member)
        where = self.where(member)
        encoding = find_encoding(io.BytesIO(content), where)
        if encoding.note:
            self._note(encoding.note)
        name = "utf-8-sig" if encoding.name == "utf-8" else encoding.name
        try:
            return content.decode(name, encoding.errors)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{printable(where)} is not the {name.upper()} that its mark says "
                f"({error.reason}). Save it as UTF-8."
            ) from error

    def table(
        self, member: str, *, separator: str, columns: list[str] | None = None, quote: bool = True
    ) -> pl.LazyFrame:
        """Return a delimited text file, every column as text, with a column `row`.

        Read in pieces out of a folder; a compressed file is unpacked in memory.

        Parameters
        ----------
        member
            the file
        separator
            one character
        columns
            names of the columns of a file without a header line
        quote
            whether double quotes enclose fields

        Raises
        ------
        DataError
            The file is empty or is not such a table; the row is named where there is one.
        """
        where = self.where(member)
        if self._is_packed(member):
            content = self.read(member)
            text = Delimited(
                lambda: nullcontext(io.BytesIO(content)), content, where, separator, columns, quote
            )
        else:
            self._used.add(where)
            text = Delimited(lambda: where.open("rb"), where, where, separator, columns, quote)
        with readable(where):
            table, notes = text.scan()
        for note in notes:
            self._note(note)
        return table

    def header(self, member: str) -> str:
        """Return the first line of a text, roughly: to tell a separator by."""
        with self.open(member) as stream:
            return stream.read(1 << 16).decode("utf-8", "replace").split("\n")[0]

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)

    def parquet(self, member: str) -> pl.LazyFrame:
        """Return a Parquet file lazily, with a column `row`.

        Raises
        ------
        DataError
            It is not a whole Parquet file.
        """
        where = self.where(member)
        if self.is_zip:
            raise DataError(f"{self.path} is a zip archive; unpack it, Parquet is read in place.")
        self._used.add(where)
        with readable(where):
            table = pl.scan_parquet(where, row_index_name="row", row_index_offset=1, glob=False)
            table.collect_schema()
        return table.with_columns(pl.col("row").cast(pl.Int64))

    def fingerprints(self) -> dict[str, str]:
        """Return the SHA-256 of every file read so far, by file name."""
        return {path.name: sha256(path) for path in sorted(self._used)}


def _unpacked(stream: IO[bytes], name: str) -> IO[bytes]:
    if name.lower().endswith(".gz"):
        return io.BufferedReader(gzip.GzipFile(fileobj=stream))
    return stream
