"""Reading what users have on disk: a folder, a zip archive, a file; plain or gzip; any encoding."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

import polars as pl

from corarec.errors import DataError
from corarec.files import sha256


class InputFiles:
    """The files under a path: of a folder, of a zip archive, or one file alone.

    Parameters
    ----------
    path
        a folder, a `.zip` archive or a file

    Raises
    ------
    DataError
        There is nothing at `path`, or it is a damaged archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise DataError(f"{self.path} does not exist. Check the path given as --input.")
        self.is_zip = self.path.is_file() and self.path.suffix == ".zip"
        if self.is_zip:
            with _readable(self.path), zipfile.ZipFile(self.path) as archive:
                self.names = [name for name in archive.namelist() if not name.endswith("/")]
        elif self.path.is_file():
            self.names = [self.path.name]
        else:
            found = [*self.path.glob("*"), *self.path.glob("*/*")]
            self.names = sorted(
                file.relative_to(self.path).as_posix() for file in found if file.is_file()
            )
        self._used: set[Path] = set()

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
            there = ", ".join(sorted(self.names)[:12]) or "nothing"
            raise DataError(f"{self.path} has no file {name}; it has {there}.")
        return member

    def where(self, member: str) -> Path:
        """Return the path of a member, for messages and for direct reading out of a folder."""
        return self.path if self.path.is_file() and not self.is_zip else self.path / member

    @contextmanager
    def open(self, member: str) -> Iterator[IO[bytes]]:
        """Open a member for reading, unpacking zip and gzip; damage becomes a `DataError`."""
        where = self.where(member)
        self._used.add(self.path if self.is_zip else where)
        with _readable(where):
            if self.is_zip:
                with zipfile.ZipFile(self.path) as archive, archive.open(member) as stream:
                    yield _unpacked(stream, member)
            else:
                with where.open("rb") as stream:
                    yield _unpacked(stream, member)

    def text(self, member: str) -> str:
        """Return a member's whole text: UTF-8, or else Latin-1."""
        with self.open(member) as stream:
            content = stream.read()
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError:
            return content.decode("latin-1")

    def table(
        self, member: str, *, separator: str, columns: list[str] | None = None, quote: bool = True
    ) -> pl.LazyFrame:
        """Return a delimited text file, every column as text, with a column `row`.

        Read lazily out of a folder; a compressed file is unpacked in memory.

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
            The file is empty or is not such a table.
        """
        where = self.where(member)
        has_header = columns is None
        if self.is_zip or member.endswith(".gz"):
            with self.open(member) as stream:
                source: Path | bytes = stream.read()
            empty = not source
        else:
            self._used.add(where)
            source, empty = where, where.stat().st_size == 0
        if empty:
            raise DataError(f"{where} is empty. Get the file again.")
        with _readable(where):
            table = pl.scan_csv(
                source,
                separator=separator,
                has_header=has_header,
                schema=None if columns is None else dict.fromkeys(columns, pl.String()),
                quote_char='"' if quote else None,
                infer_schema=False,
                truncate_ragged_lines=True,
                row_index_name="row",
                row_index_offset=2 if has_header else 1,
            ).with_columns(pl.col("row").cast(pl.Int64))
            table.collect_schema()
        return table

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
        with _readable(where):
            table = pl.scan_parquet(where, row_index_name="row", row_index_offset=1)
            table.collect_schema()
        return table.with_columns(pl.col("row").cast(pl.Int64))

    def fingerprints(self) -> dict[str, str]:
        """Return the SHA-256 of every file read so far, by file name."""
        return {path.name: sha256(path) for path in sorted(self._used)}


def require_columns(found: list[str], wanted: list[str], file: Path, how: str = "") -> None:
    """Refuse a table that lacks a column.

    Raises
    ------
    DataError
        Names what is missing, what there is, and `how` to say where a column is.
    """
    there = [name for name in found if name != "row"]
    if missing := [name for name in wanted if name not in there]:
        raise DataError(
            f"{file} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; it has "
            f"{', '.join(there) or 'none'}.{' ' * bool(how)}{how}"
        )


def parse_numbers(
    table: pl.LazyFrame, types: Mapping[str, pl.DataType], file: Path
) -> pl.LazyFrame:
    """Turn text columns into numbers; an empty text is a missing value.

    Parameters
    ----------
    table
        has a column `row`, for the message; numbers may be there as text
    types
        the wanted type by column
    file
        for the message

    Raises
    ------
    DataError
        A text is no finite number; names the first row.
    """
    schema = table.collect_schema()
    parsed = {}
    for name, kind in types.items():
        column = pl.col(name)
        if schema[name].is_integer():
            parsed[name] = column.cast(kind)
            continue
        if schema[name] == pl.String:
            column = column.str.strip_chars()
            column = pl.when(column != "").then(column)
        number = column.cast(pl.Float64, strict=False)
        bad = column.is_not_null() & ~number.is_finite().fill_null(value=False)
        with _readable(file):
            first = table.filter(bad).select("row", name).head(1).collect()
        if not first.is_empty():
            row, value = first.row(0)
            raise DataError(
                f"{file}, row {row}: {name} is {value!r}, which is not a number. Mend the row, or "
                "check that the columns are in the expected order."
            )
        parsed[name] = (number.round() if kind.is_integer() else number).cast(kind)
    return table.with_columns(**parsed)


def _unpacked(stream: IO[bytes], name: str) -> IO[bytes]:
    if name.endswith(".gz"):
        return io.BufferedReader(gzip.GzipFile(fileobj=stream))
    return stream


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn the errors of damaged files into a `DataError` that names the file."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is cut off or damaged ({error}). Get the file again.") from error
    except pl.exceptions.NoDataError as error:
        raise DataError(f"{path} is empty. Get the file again.") from error
    except pl.exceptions.DuplicateError as error:
        raise DataError(
            f"{path} has two columns of the same name, or one called `row`, which is used for "
            f"messages ({error}). Rename it."
        ) from error
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{path} is not a table that can be read ({error}).") from error
