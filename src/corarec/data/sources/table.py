"""Any CSV, TSV or Parquet file with named columns."""

from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import Field

from corarec.data.columns import parse_numbers, require_columns, require_roles
from corarec.data.delimited import guess_separator
from corarec.data.findings import LOUD
from corarec.data.guesses import UNITS, guess_rating, guess_unit, one_title_each, tidy_ids
from corarec.data.inputs import InputFiles
from corarec.data.raw import RawData, SourceFacts
from corarec.data.reading import collect
from corarec.data.sources.base import FileSource
from corarec.data.storage import SPLITS, SplitType
from corarec.errors import ConfigError, DataError

HOW = "Other names can be given as options (user_column=...)."


class Table(FileSource):
    """One table of interactions, and one of items unless the first has the titles.

    `--input` is the table itself or a folder with the tables. Of the columns `rating`, `label`,
    `split` and `text` those are used that are there. Without rating and label a column that looks
    like ratings (`stars`, `score`, ...) is taken; where there is none every interaction is a
    positive. The card says what was assumed.
    """

    interactions: str | None = None
    """file name of the interactions in the folder"""
    items: str | None = None
    """file name of the items in the folder; None: the titles are in the interactions"""
    separator: str | None = Field(default=None, pattern=r'^[^"\r\n\x00]$')
    """between the fields of a text file; None: told by the header"""
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
    time_unit: Literal["s", "ms", "us", "ns"] | None = None
    """what a number in the time column counts, since 1970; None: told by the size of the numbers"""
    positives_only: bool = False
    """every interaction is a liked one, whatever columns there are"""
    split_column: str = "split"
    """column of the splits: train, valid, test (for `--split published`)"""
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
        roles = ("user", "item", "rating", "label", "time", "split")
        require_roles({f"{role}_column": getattr(self, f"{role}_column") for role in roles})
        if self.interactions is None and files.path.is_dir():
            raise ConfigError(
                f"{files.path} is a folder; name the file of the interactions in it with the "
                f"option interactions. It has {', '.join(files.names) or 'nothing'}."
            )
        member = self._member(files)
        file = files.where(member)
        notes: list[str] = []
        table = self._open(files, member, notes)
        schema = table.collect_schema()
        needed = [self.user_column, self.item_column, self.time_column]
        named = [f"{name}_column" for name in ("rating", "label", "split", "text")]
        needed += [getattr(self, name) for name in named if name in self.model_fields_set]
        require_columns(schema.names(), needed, file, _how(schema.names()))
        for column in (self.user_column, self.item_column):
            table, changes = tidy_ids(table, column, file)
            notes += changes
        items, changes = self._items(files, table, file, notes)
        return RawData(
            interactions=self._interactions(table, file, notes),
            items=items,
            interactions_file=file,
            items_file=file if self.items is None else files.where(files.require(self.items)),
            facts=SourceFacts(
                files.path.stem,
                self.licence,
                self.item_noun_singular,
                self.item_noun_plural,
                (*notes, *changes),
            ),
        )

    def _member(self, files: InputFiles) -> str:
        if self.interactions is not None:
            return files.require(self.interactions)
        if not files.names:
            raise DataError(f"{files.path} is empty. Get the file again.")
        return files.names[0]

    def _open(self, files: InputFiles, member: str, notes: list[str]) -> pl.LazyFrame:
        if member.endswith(".parquet"):
            return files.parquet(member)
        default = "\t" if ".tsv" in member else ","
        header = files.header(member)
        if self.separator is None and default not in header and (guess := guess_separator(header)):
            notes.append(f"{LOUD}fields of {member} are parted by {guess!r}, as its header is")
            default = guess
        return files.table(member, separator=self.separator or default)

    def _interactions(self, table: pl.LazyFrame, file: Path, notes: list[str]) -> pl.LazyFrame:
        names = table.collect_schema().names()
        rating, label = self.rating_column, self.label_column
        if self.positives_only:
            rating = label = ""
        elif rating not in names and label not in names:
            guess, note = guess_rating(names, file, "rating_column")
            rating = guess or rating
            notes += [note] if note else []
        types: dict[str, pl.DataType] = {rating: pl.Float32(), label: pl.Int8()}
        types = {name: kind for name, kind in types.items() if name in names}
        numbers = parse_numbers(self._with_seconds(table, file, notes), types, file)
        if label in names:
            _check_values(numbers, label, [0, 1], file)
        if self.split_column in names:
            _check_values(numbers, self.split_column, list(SPLITS), file)
        optional = {
            "label": (label, pl.Int8()),
            "split": (self.split_column, SplitType),
            "text": (self.text_column, pl.String()),
        }
        return numbers.select(
            "row",
            pl.col(self.user_column).alias("user"),
            pl.col(self.item_column).alias("item"),
            (pl.col(rating) if rating in names else pl.lit(None)).cast(pl.Float32).alias("rating"),
            pl.col(self.time_column).alias("timestamp"),
            *(
                pl.col(column).cast(kind).alias(name)
                for name, (column, kind) in optional.items()
                if column in names
            ),
        )

    def _with_seconds(self, table: pl.LazyFrame, file: Path, notes: list[str]) -> pl.LazyFrame:
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
        if self.time_unit is not None:
            return numbers.with_columns(time // UNITS[self.time_unit])
        unit, note = guess_unit(numbers, self.time_column, file)
        notes += [note] if note else []
        return numbers.with_columns(time // UNITS[unit])

    def _items(
        self, files: InputFiles, interactions: pl.LazyFrame, file: Path, notes: list[str]
    ) -> tuple[pl.DataFrame, list[str]]:
        columns = [self.item_column, self.title_column]
        names = {self.item_column: "item", self.title_column: "title"}
        if self.items is None:
            how = "Give a table of the items with the option items, or name the column."
            require_columns(interactions.collect_schema().names(), columns, file, how)
            items = interactions.select(columns)
        else:
            member = files.require(self.items)
            file = files.where(member)
            items = self._open(files, member, notes).drop("row")
            require_columns(items.collect_schema().names(), columns, file, HOW)
            items, changes = tidy_ids(items, self.item_column, file)
            notes += changes
        items = items.rename(names).with_columns(pl.col("title").cast(pl.String))
        return one_title_each(items, file)


def _how(names: list[str]) -> str:
    """Say what to do about a missing column, and more where the first line looks like data."""
    if any(name.replace(".", "").isdigit() for name in names if name != "row"):
        return f"Its first line should name the columns, and looks like data. {HOW}"
    return HOW


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
