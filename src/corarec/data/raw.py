"""What a source hands over: raw interactions, items and users, under one schema checked here."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from corarec.data.findings import check_times
from corarec.data.reading import collect
from corarec.data.storage import SplitType
from corarec.errors import DataError
from corarec.text import printable

REQUIRED_COLUMNS: dict[str, pl.DataType] = {
    "row": pl.Int64(),
    "user": pl.String(),
    "item": pl.String(),
    "rating": pl.Float32(),
    "timestamp": pl.Int64(),
}
OPTIONAL_COLUMNS: dict[str, pl.DataType] = {
    "label": pl.Int8(),
    "split": SplitType,
    "text": pl.String(),
    "true_probability": pl.Float64(),
}


@dataclass(frozen=True)
class SourceFacts:
    """What a dataset card says about the source."""

    name: str
    licence: str
    item_noun_singular: str = "item"
    item_noun_plural: str = "items"
    notes: tuple[str, ...] = ()
    exact_titles: bool = False
    """titles are as they were published, and stay so"""


@dataclass(frozen=True)
class RawData:
    """Everything that a source knows, with the ids of the source."""

    facts: SourceFacts
    interactions: pl.LazyFrame
    """row (1-based, in the source file), user, item, rating (null throughout where there is none),
    timestamp (UTC seconds); where the source has them label, split, text, true_probability"""
    items: pl.DataFrame
    """item, title, and what else the source knows"""
    interactions_file: Path
    """for error messages"""
    items_file: Path
    """for error messages"""
    users: pl.DataFrame | None = None
    """user, and what else the source knows"""
    users_file: Path = Path("users")
    """for error messages"""

    def __post_init__(self) -> None:
        schema = self.interactions.collect_schema()
        known = REQUIRED_COLUMNS | OPTIONAL_COLUMNS
        wrong = [name for name in schema if known.get(name) != schema[name]]
        wrong += [name for name in REQUIRED_COLUMNS if name not in schema]
        if wrong:
            raise TypeError(f"a source must yield the columns {known}; wrong: {wrong}")
        _check_entries(self.items, "item", self.items_file)
        if self.users is not None:
            _check_entries(self.users, "user", self.users_file)

    def collect(self, interactions: pl.LazyFrame) -> pl.DataFrame:
        """Read `interactions`, a selection from `self.interactions`, and check its values.

        Raises
        ------
        DataError
            Nothing is left, or an id, a rating or a timestamp is missing; the first such row is
            named.
        """
        table = collect(interactions, self.interactions_file)
        if table.is_empty():
            raise DataError(
                f"{self.interactions_file} has no interaction that this split can use. Check that "
                "it is the right file and that the split rule fits its time range."
            )
        needed = ["user", "item", "timestamp"]
        if table["rating"].null_count() < table.height and "label" not in table.columns:
            needed.append("rating")
        for name in needed:
            if table[name].null_count():
                self._complain_of_missing(table, name)
        check_times(table, self.interactions_file)
        return table

    def _complain_of_missing(self, table: pl.DataFrame, name: str) -> None:
        row = table.filter(pl.col(name).is_null())["row"][0]
        hint = (
            "A split in time needs a time for every interaction; give the column of the times, or "
            "drop the rows without one."
            if name == "timestamp"
            else "Drop or mend the row."
        )
        raise DataError(f"{self.interactions_file}, row {row}: the {name} is missing. {hint}")


def _check_entries(entries: pl.DataFrame, kind: str, file: Path) -> None:
    """Refuse a table of items or users that is empty, repeats an id, or hides one of ours."""
    name = printable(file)
    if entries.is_empty():
        raise DataError(f"{name} has no {kind}s. Check that the file is whole.")
    repeated = entries.filter(pl.col(kind).is_duplicated())
    if not repeated.is_empty():
        one = repeated[kind][0]
        same = entries.with_row_index("n", 1).filter(pl.col(kind).eq_missing(pl.lit(one)))
        raise DataError(
            f"{name}: {kind} '{printable(one, 60)}' occurs {same.height} times (entries "
            f"{', '.join(map(str, same['n'].to_list()[:5]))}). Keep one entry per {kind}."
        )
    if taken := sorted({f"{kind}_id", "raw_id"} & set(entries.columns)):
        raise DataError(
            f"{name} has a column {taken[0]} beside that of the {kind}s, and a dataset needs the "
            "name itself. Rename or drop it."
        )


def require_titles(used: pl.DataFrame, raw: RawData) -> None:
    """Refuse interactions (with a column `item`) whose item has no title.

    Raises
    ------
    DataError
        Names the first item without one.
    """
    titled = raw.items.filter(pl.col("title").str.strip_chars() != "").select("item")
    untitled = (
        used.select("item")
        .unique(maintain_order=True)
        .join(titled, on="item", how="anti", maintain_order="left")
    )
    if not untitled.is_empty():
        item = untitled["item"][0]
        row = used.filter(pl.col("item") == item)["row"][0]
        where = f" (first used in {raw.interactions_file}, row {row})"
        raise DataError(
            f"{raw.items_file} has no title for item {item!r}{where}, nor for "
            f"{untitled.height - 1} other "
            "items. Prompts are made of titles: add them, or pass untitled='drop' "
            "(--untitled drop) to leave out the interactions with these items."
        )
