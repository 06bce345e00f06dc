"""What a service was told, as it exports it: events and new items in two Parquet files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from corarec.data.reading import collect, readable
from corarec.errors import DataError
from corarec.text import printable

EVENT_COLUMNS = {"user": pl.String(), "item": pl.String(), "kind": pl.String(), "time": pl.Int64()}
ITEM_COLUMNS = {"item": pl.String(), "title": pl.String()}
LABELS = {"like": 1, "dislike": 0}
KINDS = (*LABELS, "seen")
LAST_SECOND = 253_402_300_799
ITEMS_SUFFIX = ".items.parquet"
"""What follows the name of the events in that of the items beside them."""


@dataclass(frozen=True)
class Events:
    """The events of a service, and the items that were added to it."""

    rows: pl.DataFrame
    """user, item, kind, time (UTC seconds), stars (null for none), in order of time and arrival"""
    items: pl.DataFrame
    """item, title, and what else is known of them"""
    file: Path

    def opinions(self) -> pl.DataFrame:
        """Return the last like or dislike of each user and item, in order of time, with `label`."""
        told = self.rows.filter(pl.col("kind").is_in(list(LABELS)))
        last = told.unique(["user", "item"], keep="last", maintain_order=True)
        return last.with_columns(label=pl.col("kind").replace_strict(LABELS, return_dtype=pl.Int64))


def read_events(file: Path, items: Path | None = None) -> Events:
    """Read what `corarec events export` wrote, or anything of the same columns.

    Parameters
    ----------
    file
        Columns user, item, kind (like, dislike or seen), time (UTC seconds); optional: stars, and
        arrived, the order of arrival.
    items
        Columns item and title, and any others; by default the file beside, where there is one.

    Raises
    ------
    DataError
        A file is missing or damaged, a column lacks, or a value is none; names the row.
    """
    frame = _parquet(file, EVENT_COLUMNS)
    rows = frame.with_row_index("row", 1)
    for name in ("user", "item"):
        bad = pl.col(name).is_null() | (pl.col(name).str.strip_chars() == "")
        _refuse(rows, bad, name, file, "a text")
    _refuse(rows, ~pl.col("kind").is_in(KINDS).fill_null(False), "kind", file, " or ".join(KINDS))
    outside = ~pl.col("time").is_between(0, LAST_SECOND).fill_null(False)
    _refuse(rows, outside, "time", file, "UTC seconds")
    if "stars" in frame.columns:
        rows = rows.with_columns(pl.col("stars").cast(pl.Float64, strict=False))
        bad_stars = pl.col("stars").is_not_null() & ~pl.col("stars").is_finite()
        _refuse(rows, bad_stars, "stars", file, "a finite number or nothing")
    else:
        rows = rows.with_columns(stars=pl.lit(None, pl.Float64))
    order = ["time", "arrived"] if "arrived" in frame.columns else ["time"]
    rows = rows.sort(order, maintain_order=True).unique(
        ["user", "item", "kind", "time"], keep="last", maintain_order=True
    )
    beside = file.with_name(file.stem + ITEMS_SUFFIX) if items is None else items
    if items is None and not beside.exists():
        table = pl.DataFrame(schema=ITEM_COLUMNS)
    else:
        table = _parquet(beside, ITEM_COLUMNS)
        numbered = table.with_row_index("row", 1)
        for name in ITEM_COLUMNS:
            bad = pl.col(name).is_null() | (pl.col(name).str.strip_chars() == "")
            _refuse(numbered, bad, name, beside, "a text")
        _refuse(numbered, pl.col("item").is_duplicated(), "item", beside, "each item once")
    return Events(rows.select("user", "item", "kind", "time", "stars"), table, file)


def _parquet(file: Path, columns: Mapping[str, pl.DataType]) -> pl.DataFrame:
    with readable(file):
        if not file.is_file():
            raise DataError(f"{printable(file)} does not exist, or is no file.")
        frame = collect(pl.scan_parquet(file, glob=False), file)
    if missing := [name for name in columns if name not in frame.columns]:
        raise DataError(
            f"{printable(file)} lacks the column {missing[0]}; it has "
            f"{printable(', '.join(frame.columns), 200) or 'none'}. `corarec events export` writes "
            "such files."
        )
    try:
        return frame.with_columns(pl.col(name).cast(kind) for name, kind in columns.items())
    except pl.exceptions.PolarsError as error:
        raise DataError(
            f"{printable(file)}: a column is of another kind than {columns} "
            f"({printable(error, 200)})."
        ) from error


def _refuse(rows: pl.DataFrame, bad: pl.Expr, name: str, file: Path, wanted: str) -> None:
    wrong = rows.filter(bad)
    if not wrong.is_empty():
        raise DataError(
            f"{printable(file)}, row {wrong['row'][0]}: {name} is "
            f"{printable(wrong[name][0], 60)!r}; wanted is {wanted}. Mend the row or drop it."
        )
