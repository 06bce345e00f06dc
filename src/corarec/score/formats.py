"""Tables of pairs on disk: Parquet, CSV or TSV, told by the suffix of the file."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from corarec.errors import ConfigError, DataError
from corarec.text import printable

SEPARATORS = {".csv": ",", ".tsv": "\t"}
_UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
FORMATS = (".parquet", *SEPARATORS)


def check_format(path: Path) -> None:
    """See that the suffix of a table's file tells its format.

    Raises
    ------
    ConfigError
        It is none of `FORMATS`.
    """
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(
            f"{path} has the suffix {path.suffix!r}, which tells no format. Name a file that ends "
            f"in {', '.join(FORMATS)}."
        )


def is_text(path: Path) -> bool:
    """Return whether a table is a text file, of which every value is read as text."""
    return path.suffix.lower() in SEPARATORS


def first_row(path: Path) -> int:
    """Return the number that messages give to the first row: its line in a text file, else 0."""
    return 2 if is_text(path) else 0


def scan(path: Path) -> pl.LazyFrame:
    """Return a table, not read yet; ids of a text file stay text (`007`).

    Raises
    ------
    ConfigError
        The suffix tells no format.
    DataError
        The file is not there, empty, or not of its format.
    """
    check_format(path)
    if path.exists() and not path.is_file():
        raise DataError(f"{path} is a folder, a pipe or a device. Give a file.")
    with readable(path):
        if is_text(path):
            separator = SEPARATORS[path.suffix.lower()]
            _check_names(path, separator)
            table = pl.scan_csv(path, separator=separator, infer_schema=False, glob=False)
        else:
            table = pl.scan_parquet(path, glob=False)
        table.collect_schema()
    return table


def _check_names(path: Path, separator: str) -> None:
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        names = next(csv.reader(stream, delimiter=separator), [])
    if repeated := [name for name in names if names.count(name) > 1]:
        raise DataError(
            f"{path} has two columns called {repeated[0]!r}. Rename or drop one of them."
        )


def count_rows(path: Path) -> int:
    """Return the number of rows of a table.

    Raises
    ------
    ConfigError, DataError
        As `scan`.
    """
    table = scan(path)
    with readable(path):
        return int(table.select(pl.len()).collect().item())


def check_writable(schema: pl.Schema, source: Path, output: Path) -> None:
    """See that the format of `output` can hold the columns of `source`.

    Raises
    ------
    DataError
        A text file is to hold a column of lists, structs or bytes.
    """
    if is_text(output):
        for name, kind in schema.items():
            if kind.is_nested() or kind == pl.Binary:
                raise DataError(
                    f"{source}: the column {name!r} holds {kind}, which {output.suffix} cannot "
                    "hold. Drop it, or write to a .parquet file."
                )


def write(table: pl.LazyFrame, path: Path) -> None:
    """Write a table piece by piece, in the format that the suffix tells."""
    if is_text(path):
        table.sink_csv(path, separator=SEPARATORS[path.suffix.lower()])
    else:
        table.sink_parquet(path)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what goes wrong when a table is read into a `DataError` that names the file."""
    try:
        yield
    except (*_UNREADABLE, OSError, csv.Error) as error:
        kind = path.suffix.lower().lstrip(".")
        name = "Parquet" if kind == "parquet" else f"{kind.upper()} in UTF-8"
        raise DataError(
            f"{path} cannot be read as {name} ({_first_line(error)}). Give a table with the "
            "columns `user` and `item`."
        ) from error


def _first_line(error: BaseException) -> str:
    """Return what an error says, without advice to programmers that follows below."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return printable(lines[0], 200) if lines else type(error).__name__
