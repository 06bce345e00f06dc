"""Big files of one JSON object per line, read in pieces; also lines that are Python literals."""

import ast
import io
import json
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import polars as pl
from polars.io.plugins import register_io_source

from corarec.data.columns import parse_numbers
from corarec.data.inputs import InputFiles
from corarec.errors import DataError
from corarec.text import printable

BYTES_PER_PIECE = 32 * 2**20
LONGEST_LINE = 32 * 2**20
LONGEST_LITERAL = 2**20
"""bytes; Python literals take hundreds of times their length in memory to parse"""


def first_object(files: InputFiles, member: str) -> dict[str, Any]:
    """Return the first object of a file, by which its layout is told.

    Raises
    ------
    DataError
        The file is empty, or its first line is no object.
    """
    with files.open(member) as stream:
        line = stream.readline(LONGEST_LINE)
    line = line.removeprefix(BOM_UTF8)
    if not line.strip():
        raise DataError(f"{files.where(member)} is empty. Get the file again.")
    return _parse_line(line, files, member, 1)


def scan_json_lines(
    files: InputFiles, member: str, fields: Mapping[str, pl.DataType]
) -> pl.LazyFrame:
    """Return the chosen fields of every line, with a column `row` (the line, from 1).

    Only one piece of the file is in memory at a time, and a filter on the result is applied to
    each piece, so that a selection from a file larger than memory can be collected. A field that a
    line lacks is null.

    Parameters
    ----------
    files
        holds the file
    member
        the file, plain or `.gz`
    fields
        the type by field: text or number; text takes anything else as its JSON text

    Raises
    ------
    DataError
        On reading: the file is damaged, a line is no object, or a number is none; names the line.
    """

    def pieces(
        with_columns: list[str] | None,
        predicate: pl.Expr | None,
        n_rows: int | None,
        batch_size: int | None,
    ) -> Iterator[pl.DataFrame]:
        for piece in _pieces(files, member, fields):
            selected = piece if predicate is None else piece.filter(predicate)
            selected = selected if with_columns is None else selected.select(with_columns)
            yield selected if n_rows is None else selected.head(n_rows)
            if n_rows is not None and (n_rows := n_rows - selected.height) <= 0:
                return

    return register_io_source(pieces, schema=pl.Schema({"row": pl.Int64(), **fields}))


def _pieces(
    files: InputFiles, member: str, fields: Mapping[str, pl.DataType]
) -> Iterator[pl.DataFrame]:
    where = files.where(member)
    texts = pl.Schema(dict.fromkeys(fields, pl.String()))
    numbers = {name: kind for name, kind in fields.items() if kind.is_numeric()}
    first_row, is_strict = 1, True
    with files.open(member) as stream:
        while lines := _whole_lines(stream, where, first_row):
            table = _read_fast(lines, texts, first_row) if is_strict else None
            if table is None:
                table = _read_line_by_line(lines, texts, files, member, first_row)
                is_strict = False
            yield parse_numbers(table.lazy(), numbers, where).collect()
            first_row += len(lines)


def _whole_lines(stream: IO[bytes], where: Path, first_row: int) -> list[bytes]:
    piece = stream.read(BYTES_PER_PIECE)
    if piece and not piece.endswith(b"\n"):
        rest = stream.readline(LONGEST_LINE)
        if len(rest) == LONGEST_LINE and not rest.endswith(b"\n"):
            row = first_row + piece.count(b"\n")
            raise DataError(
                f"{printable(where)}, row {row}: a line of more than {LONGEST_LINE:,} bytes, which "
                "no review has. The file may be damaged or of another kind; get it again."
            )
        piece += rest
    if first_row == 1:
        piece = piece.removeprefix(BOM_UTF8)
    lines = piece.split(b"\n")
    return lines[:-1] if not lines[-1] else lines


def _read_fast(lines: list[bytes], texts: pl.Schema, first_row: int) -> pl.DataFrame | None:
    """Parse lines of strict JSON; None where a line is blank or something else."""
    try:
        table = pl.read_ndjson(io.BytesIO(b"\n".join(lines)), schema=texts)
    except pl.exceptions.PolarsError:
        return None
    if table.height != len(lines):
        return None
    rows = pl.int_range(first_row, first_row + len(lines), dtype=pl.Int64)
    return table.select(rows.alias("row"), *texts)


def _read_line_by_line(
    lines: list[bytes], texts: pl.Schema, files: InputFiles, member: str, first_row: int
) -> pl.DataFrame:
    objects = {
        row: _parse_line(line, files, member, row)
        for row, line in enumerate(lines, start=first_row)
        if line.strip()
    }
    where = files.where(member)
    columns = {
        name: [_as_text(entry.get(name), name, where, row) for row, entry in objects.items()]
        for name in texts
    }
    return pl.DataFrame({"row": list(objects), **columns}, schema={"row": pl.Int64(), **texts})


def _parse_line(line: bytes, files: InputFiles, member: str, row: int) -> dict[str, Any]:
    text = line.decode("utf-8", errors="replace").strip()
    parsers = (json.loads, ast.literal_eval) if len(text) < LONGEST_LITERAL else (json.loads,)
    for parse in parsers:
        try:
            value = parse(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    raise DataError(
        f"{printable(files.where(member))}, row {row}: '{printable(text, 60)}' is neither a JSON "
        "object nor a Python dict. The file may be cut off or of another kind; get it again."
    )


def _as_text(value: Any, name: str, where: Path, row: int) -> str | None:
    if value is None:
        return None
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        # A Python dict can hold what JSON cannot, such as sets.
        raise DataError(
            f"{printable(where)}, row {row}: what {name} holds cannot be read "
            f"({printable(error, 200)}). Mend the row: write a text or a number."
        ) from error
    # Halves of a character, which no UTF-8 can hold, come by escapes: pairs are put together.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
