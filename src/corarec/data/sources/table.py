"""Any CSV, TSV or Parquet file with named columns."""

from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from corarec.data.inputs import InputFiles, parse_numbers, require_columns
from corarec.data.raw import RawData, SourceFacts
from corarec.data.reading import collect
from corarec.data.sources.base import FileSource
from corarec.data.storage import SPLITS, SplitType
from corarec.errors import ConfigError, DataError

PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
HOW = "Other names can be given as options (user_column=...)."


class Table(FileSource):
    """One table of interactions, and one of items unless the first has the titles.

    `--input` is the table itself or a folder with the tables. Of the columns `rating`, `label`,
    `split` and `text` those are used that are there; without rating and label every interaction is
    a positive.
    """

    interactions: str | None = None
    """file name of the interactions in the folder"""
    items: str | None = None
    """file name of the items in the folder; None: the titles are in the interactions"""
    separator: str | None = Field(default=None, pattern=r'^[^"\r\n\x00]$')
    """between the fields of a text file; None: a tab in .tsv, a comma in the others"""
    user_column: str = "user"
    """column of the users' ids"""
    item_column: str = "item"
    """column of the items' ids, in both tables"""
    rating_column: str = "rating"
    """column of the ratings"""
    label_column: str = "label"
    """column of labels, 0 or 1"""
    time_column: str = "timestamp"
    """column of the times: numbers, ISO dates, or Parquet's own times"""
    time_unit: Literal["s", "ms", "us", "ns"] = "s"
    """what a number in the time column counts, since 1970"""
    split_column: str = "split"
    """column of the parts: train, valid, test (for `--split published`)"""
    text_column: str = "text"
    """column of the reviews"""
    title_column: str = "title"
    """column of the titles"""
    item_noun_singular: str = "item"
    """what an item is, for prompts"""
    item_noun_plural: str = "items"
    """what several of them are, for prompts"""
    licence: str = "The terms of whoever gave you the data."
    """for the dataset card"""

    def read(self, files: InputFiles) -> RawData:
        """Find the columns and read the items."""
        if self.interactions is None and files.path.is_dir():
            raise ConfigError(
                f"{files.path} is a folder; name the file of the interactions in it with the "
                f"option interactions. It has {', '.join(files.names) or 'nothing'}."
            )
        member = files.names[0] if self.interactions is None else files.require(self.interactions)
        file = files.where(member)
        table = self._open(files, member)
        return RawData(
            facts=SourceFacts(
                files.path.stem, self.licence, self.item_noun_singular, self.item_noun_plural
            ),
            interactions=self._interactions(table, file),
            items=self._items(files, table, file),
            interactions_file=file,
            items_file=file if self.items is None else files.where(files.require(self.items)),
        )

    def _open(self, files: InputFiles, member: str) -> pl.LazyFrame:
        if member.endswith(".parquet"):
            return files.parquet(member)
        default = "\t" if ".tsv" in member else ","
        return files.table(member, separator=self.separator or default)

    def _interactions(self, table: pl.LazyFrame, file: Path) -> pl.LazyFrame:
        schema = table.collect_schema()
        needed = [self.user_column, self.item_column, self.time_column]
        require_columns(schema.names(), needed, file, HOW)
        types: dict[str, pl.DataType] = {
            self.rating_column: pl.Float32(),
            self.label_column: pl.Int8(),
        }
        types = {name: kind for name, kind in types.items() if name in schema}
        numbers = parse_numbers(self._with_seconds(table, file), types, file)
        if self.label_column in schema:
            _check_values(numbers, self.label_column, [0, 1], file)
        if self.split_column in schema:
            _check_values(numbers, self.split_column, list(SPLITS), file)
        optional = {
            "label": (self.label_column, pl.Int8()),
            "split": (self.split_column, SplitType),
            "text": (self.text_column, pl.String()),
        }
        rating = pl.col(self.rating_column) if self.rating_column in schema else pl.lit(None)
        return numbers.select(
            "row",
            pl.col(self.user_column).cast(pl.String).alias("user"),
            pl.col(self.item_column).cast(pl.String).alias("item"),
            rating.cast(pl.Float32).alias("rating"),
            pl.col(self.time_column).alias("timestamp"),
            *(
                pl.col(column).cast(kind).alias(name)
                for name, (column, kind) in optional.items()
                if column in schema
            ),
        )

    def _with_seconds(self, table: pl.LazyFrame, file: Path) -> pl.LazyFrame:
        """Turn the time column into UTC seconds."""
        time = pl.col(self.time_column)
        kind = table.collect_schema()[self.time_column]
        if kind.is_temporal():
            return table.with_columns(time.cast(pl.Datetime("us")).dt.epoch("s"))
        if kind == pl.String:
            first = collect(table.select(time.drop_nulls().first()), file).item()
            if first is not None and ("-" in first[1:] or ":" in first):
                return _parse_dates(table, self.time_column, file)
        numbers = parse_numbers(table, {self.time_column: pl.Int64()}, file)
        return numbers.with_columns(time // PER_SECOND[self.time_unit])

    def _items(self, files: InputFiles, interactions: pl.LazyFrame, file: Path) -> pl.DataFrame:
        columns = [self.item_column, self.title_column]
        names = {self.item_column: "item", self.title_column: "title"}
        if self.items is None:
            how = "Give a table of the items with the option items, or name the column."
            require_columns(interactions.collect_schema().names(), columns, file, how)
            items = interactions.select(columns).unique(maintain_order=True)
        else:
            member = files.require(self.items)
            items = self._open(files, member).drop("row")
            found = items.collect_schema().names()
            require_columns(found, columns, files.where(member), HOW)
        return (
            items.rename(names)
            .with_columns(pl.col("item", "title").cast(pl.String))
            .with_columns(pl.col("title").fill_null(""))
            .collect()
        )


def _parse_dates(table: pl.LazyFrame, column: str, file: Path) -> pl.LazyFrame:
    """Read ISO dates and date-times; without an offset they are taken as UTC."""
    formats = ["%+", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d"]
    moments = [
        pl.col(column).str.to_datetime(form, strict=False, time_unit="us", time_zone="UTC")
        for form in formats
    ]
    seconds = pl.coalesce(moments).dt.epoch("s")
    bad = table.filter(pl.col(column).is_not_null() & seconds.is_null()).select("row", column)
    first = collect(bad.head(1), file)
    if not first.is_empty():
        row, value = first.row(0)
        raise DataError(
            f"{file}, row {row}: {column} is {value!r}, which is no ISO date such as 2024-05-31 or "
            "2024-05-31T12:00:00. Mend it, or give the times as numbers (time_unit)."
        )
    return table.with_columns(seconds.alias(column))


def _check_values(
    table: pl.LazyFrame, column: str, allowed: list[int] | list[str], file: Path
) -> None:
    other = ~pl.col(column).is_in(allowed).fill_null(value=False)
    first = collect(table.filter(other).select("row", column).head(1), file)
    if not first.is_empty():
        row, value = first.row(0)
        raise DataError(
            f"{file}, row {row}: {column} is {value!r}, expected one of "
            f"{', '.join(map(str, allowed))}."
        )
