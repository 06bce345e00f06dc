"""Delimited text: by polars where every line is plain, else record by record.

polars is quick and reads in pieces, but drops or shifts rows where a quote stands inside a field,
and knows UTF-8 only. So every line is looked at once; a file with anything but plain lines is read
by the csv module, also in pieces, and a record that does not fit is named with its row.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import polars as pl
from polars.io.plugins import register_io_source

from corarec.data.reading import BLOCK, readable
from corarec.errors import DataError
from corarec.text import printable

RECORDS_PER_PIECE = 100_000
MOST_PLAIN_COLUMNS = 64
MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
GUESSES = ";\t|,"


def _windows_letter(error: UnicodeError) -> tuple[str, int]:
    """Read the five bytes that Windows-1252 leaves open as Latin-1 does."""
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("corarec-latin-1", _windows_letter)


@dataclass(frozen=True)
class Encoding:
    """How the bytes of a text are to be read."""

    name: str
    errors: str = "strict"
    note: str = ""
    """what was assumed, for the dataset card"""


def find_encoding(stream: IO[bytes], path: Path) -> Encoding:
    """Tell the encoding of a text by its mark or by all of its bytes.

    UTF-8, UTF-16 and UTF-32 with a mark, else UTF-8, else Windows-1252, which is Latin-1 with
    letters in place of control characters.

    Raises
    ------
    DataError
        There are zero bytes: it is no text, or UTF-16 without a mark.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    row, name, bad_row = 1, "", 0
    block = stream.read(BLOCK)
    for mark, known in MARKS.items():
        if block.startswith(mark):
            name = known
            break
    if name.startswith(("utf-16", "utf-32")):
        return Encoding(name, note=f"{path.name} read as {name.upper()}, by its mark")
    while block:
        if b"\0" in block:
            row += block[: block.index(b"\0")].count(b"\n")
            raise DataError(
                f"{printable(path)}, row {row}: a zero byte, which no text has. The file is binary "
                "or UTF-16 without a mark; save it as UTF-8."
            )
        if not bad_row:
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                bad_row = row + error.object[: error.start].count(b"\n")
        row += block.count(b"\n")
        block = stream.read(BLOCK)
    if not bad_row and decoder.getstate()[0]:
        bad_row = row
    if bad_row:
        note = f"{path.name} is not UTF-8 (first in row {bad_row}): read as Windows-1252 (Latin-1)"
        return Encoding("cp1252", "corarec-latin-1", note)
    return Encoding(name or "utf-8")


@dataclass(frozen=True)
class Delimited:
    """A delimited text, plain or unpacked.

    Parameters
    ----------
    open
        opens the unpacked bytes
    source
        what polars is to read: a path or the bytes themselves
    path
        for messages
    separator
        one character
    columns
        names of the columns of a file without a header line
    quote
        whether double quotes enclose fields
    """

    open: Callable[[], AbstractContextManager[IO[bytes]]]
    source: Path | bytes
    path: Path
    separator: str
    columns: list[str] | None = None
    quote: bool = True

    def scan(self) -> tuple[pl.LazyFrame, list[str]]:
        """Return the table lazily, every column as text, with a column `row`, and notes.

        Raises
        ------
        DataError
            The file is empty, is no text, has two columns of one name, or (now or when the table
            is collected) a record with another number of fields than columns; names the row.
        """
        with self.open() as stream:
            encoding = find_encoding(stream, self.path)
        notes = [encoding.note] if encoding.note else []
        names = self._names(encoding)
        is_utf8 = encoding.name.startswith("utf-8")
        if is_utf8 and self._is_plain(len(names)):
            table = self._scan_plain(names)
        else:
            table = self._scan_records(names, encoding)
        return table, notes

    def _names(self, encoding: Encoding) -> list[str]:
        header = next(self._records(encoding), None)
        if header is None:
            raise DataError(f"{printable(self.path)} is empty. Get the file again.")
        if self.columns is not None:
            return self.columns
        names = [name.strip() for name in header[1]]
        repeated = [name for name in names if names.count(name) > 1 and name]
        if repeated or "row" in names:
            raise DataError(
                f"{printable(self.path)} has two columns of the same name, or one called `row`, "
                f"which is used for messages ({printable((repeated or ['row'])[0])}). Rename it."
            )
        return [name or f"column {number}" for number, name in enumerate(names, start=1)]

    def _is_plain(self, num_columns: int) -> bool:
        """Whether each line is one record of the right number of fields, whole or well quoted."""
        if num_columns > MOST_PLAIN_COLUMNS or not self.separator.isascii():
            return False
        separator = re.escape(self.separator)
        field = rf"[^{separator}\r]*"
        if self.quote:
            field = rf"(?:[^{separator}\"\r]*|\"(?:[^\"\r]|\"\")*\")"
        line = rf"^{field}(?:{separator}{field}){{{num_columns - 1}}}\r?$"
        lines = pl.scan_csv(
            self.source,
            separator="\x01",
            has_header=False,
            schema={"line": pl.String()},
            glob=False,
            quote_char=None,
        )
        is_good = pl.col("line").str.contains(line)
        try:
            return bool(lines.select(is_good.fill_null(value=False).all()).collect().item())
        except pl.exceptions.PolarsError:
            return False

    def _scan_plain(self, names: list[str]) -> pl.LazyFrame:
        has_header = self.columns is None
        table = pl.scan_csv(
            self.source,
            separator=self.separator,
            has_header=False,
            skip_lines=int(has_header),
            schema=dict.fromkeys(names, pl.String()),
            quote_char='"' if self.quote else None,
            row_index_name="row",
            row_index_offset=1 + has_header,
            glob=False,
        )
        return table.with_columns(pl.col("row").cast(pl.Int64))

    def _scan_records(self, names: list[str], encoding: Encoding) -> pl.LazyFrame:
        schema = pl.Schema({"row": pl.Int64(), **dict.fromkeys(names, pl.String())})

        def pieces(
            with_columns: list[str] | None,
            predicate: pl.Expr | None,
            n_rows: int | None,
            batch_size: int | None,
        ) -> Iterator[pl.DataFrame]:
            for piece in self._pieces(names, encoding, schema):
                selected = piece if predicate is None else piece.filter(predicate)
                selected = selected if with_columns is None else selected.select(with_columns)
                yield selected if n_rows is None else selected.head(n_rows)
                if n_rows is not None and (n_rows := n_rows - selected.height) <= 0:
                    return

        return register_io_source(pieces, schema=schema)

    def _pieces(
        self, names: list[str], encoding: Encoding, schema: pl.Schema
    ) -> Iterator[pl.DataFrame]:
        records: list[tuple[int | str | None, ...]] = []
        for number, (row, fields) in enumerate(self._records(encoding)):
            if number == 0 and self.columns is None:
                continue
            if len(fields) != len(names):
                hint = " A field that holds the separator needs double quotes around it."
                raise DataError(
                    f"{printable(self.path)}, row {row}: {len(fields)} fields, expected "
                    f"{len(names)} ({printable(', '.join(names), 200)}) with {self.separator!r} "
                    f"between them. Mend the row.{hint * self.quote}"
                )
            records.append((row, *(field or None for field in fields)))
            if len(records) == RECORDS_PER_PIECE:
                yield pl.DataFrame(records, schema=schema, orient="row")
                records = []
        yield pl.DataFrame(records, schema=schema, orient="row")

    def _records(self, encoding: Encoding) -> Iterator[tuple[int, list[str]]]:
        """Yield the row at which each record starts, and its fields; blank lines are left out."""
        with readable(self.path), self.open() as stream:
            text = io.TextIOWrapper(
                stream,
                encoding="utf-8-sig" if encoding.name == "utf-8" else encoding.name,
                errors=encoding.errors,
                newline="",
            )
            reader = csv.reader(
                text,
                delimiter=self.separator,
                quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
                strict=True,
            )
            start = 1
            try:
                for fields in reader:
                    if fields:
                        yield start, fields
                    start = reader.line_num + 1
            except (csv.Error, UnicodeDecodeError) as error:
                raise DataError(
                    f"{printable(self.path)}, row {start}: the fields cannot be told apart "
                    f"({printable(error)}). Look for a double quote without its partner there, "
                    "and check the separator and the encoding (UTF-8 is best)."
                ) from error


def guess_separator(header: str) -> str | None:
    """Return the likeliest separator of a header line, or None where there is none in it."""
    counts = {character: header.count(character) for character in GUESSES}
    best = max(counts, key=lambda character: counts[character])
    return best if counts[best] else None
