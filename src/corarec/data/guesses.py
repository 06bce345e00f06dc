"""What the columns of a stranger's table are likely to mean, and what is said about each guess."""

from pathlib import Path

import polars as pl

from corarec.data.findings import LOUD
from corarec.data.reading import collect
from corarec.errors import DataError
from corarec.text import printable

RATING_NAMES = frozenset(
    (
        *("rating", "ratings", "rate", "star", "stars", "starrating", "score", "scores", "overall"),
        *("reviewscore", "reviewrating", "userrating", "userscore", "ratingvalue", "grade"),
        *("reviewoverall", "points", "preference"),
    )
)
LABEL_NAMES = frozenset(
    (
        *("label", "labels", "like", "likes", "liked", "isliked", "click", "clicked", "isclick"),
        *("clicks", "thumbsup", "feedback"),
    )
)
UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
FIRST_MILLISECOND = 10**11
"""as seconds in the year 5138, as milliseconds in 1973; each finer unit starts 1,000 times later"""


def likely(names: list[str], meanings: frozenset[str]) -> list[str]:
    """Return the columns whose name, letters only, is one of `meanings`."""
    return [name for name in names if "".join(filter(str.isalnum, name.lower())) in meanings]


def guess_rating(names: list[str], file: Path, option: str) -> tuple[str | None, str]:
    """Return the one column that looks like ratings, and a note; None where nothing does.

    Raises
    ------
    DataError
        Several columns do, or one looks like labels.
    """
    ratings, labels = likely(names, RATING_NAMES), likely(names, LABEL_NAMES)
    if len(ratings) == 1 and not labels:
        return ratings[0], f"{LOUD}the column {printable(ratings[0], 60)} holds the ratings"
    if ratings or labels:
        raise DataError(
            f"{printable(file)}: the column{'s' * (len(ratings + labels) > 1)} "
            f"{printable(', '.join(ratings + labels), 200)} may say what was liked, and none was "
            f"named. Name the column of the ratings ({option}) or of the 0/1 labels "
            f"({option.replace('rating', 'label')}), or give positives_only=true if every "
            "interaction is a liked one."
        )
    return None, ""


def guess_unit(table: pl.LazyFrame, column: str, file: Path) -> tuple[str, str]:
    """Tell by their size what numbers (Int64) in a column of times count, and note what is odd.

    Raises
    ------
    DataError
        They are of different sizes, so that they cannot all count the same.
    """
    size = pl.col(column).abs()
    unit = sum((size >= FIRST_MILLISECOND * 1_000**n).cast(pl.Int8) for n in range(3))
    units = table.filter(pl.col(column).is_not_null() & (size != 0)).select("row", unit.alias("n"))
    counts = collect(
        units.group_by("n").agg(pl.len(), pl.col("row").min()).sort("len", descending=True), file
    )
    if counts.height > 1:
        names = [list(UNITS)[n] for n in counts["n"]]
        raise DataError(
            f"{printable(file)}, row {counts['row'][1]}: {column} seems to count {names[1]} and in "
            f"most rows {names[0]}. Mend the rows, or say what all of them count (time_unit)."
        )
    name = list(UNITS)[counts["n"][0]] if counts.height else "s"
    note = f"{LOUD}{column} counts {name} since 1970, by the size of its numbers"
    return name, "" if name == "s" else note


def tidy_ids(table: pl.LazyFrame, column: str, file: Path) -> tuple[pl.LazyFrame, list[str]]:
    """Return `table` with the ids in `column` as text, and notes on what was changed in them."""
    kind, ids = table.collect_schema()[column], pl.col(column)
    if kind.is_float():
        is_whole = collect(table.select((ids == ids.round()).all()), file).item()
        whole = ids.cast(pl.Int64, strict=False) if is_whole else ids
        return table.with_columns(whole.cast(pl.String)), []
    ids = ids.cast(pl.String)
    if kind.is_numeric():
        return table.with_columns(ids), []
    tidy = ids.str.strip_chars()
    counted = table.select(
        spaced=(tidy != ids).sum(),
        decimal=tidy.str.contains(r"^\d+\.0+$").all() & tidy.is_not_null().any(),
    )
    spaced, is_decimal = collect(counted, file).row(0)
    notes = [f"spaces around {spaced:,} ids in the column {column} left out"] if spaced else []
    if is_decimal:
        tidy = tidy.str.replace(r"\.0+$", "")
        notes.append(f"ids in the column {column} are written as decimals: 1.0 read as 1")
    return table.with_columns(pl.when(tidy != "").then(tidy).alias(column)), notes


def one_title_each(pairs: pl.LazyFrame, file: Path) -> tuple[pl.DataFrame, list[str]]:
    """Return one row per item: its most frequent title that is not empty, of equals the first.

    `pairs` has the columns item and title, and what else goes with an item (of its first row).
    """
    rest = [name for name in pairs.collect_schema().names() if name not in ("item", "title")]
    grouped = (
        pairs.with_columns(pl.col("title").fill_null("").str.strip_chars().str.normalize())
        .group_by("item", "title", maintain_order=True)
        .agg(pl.len().alias("_count"), *(pl.col(name).first() for name in rest))
        .with_row_index("_first")
        .sort(pl.col("title") == "", -pl.col("_count").cast(pl.Int64), "_first")
    )
    found = collect(grouped, file)
    items = found.unique("item", keep="first", maintain_order=True).join(
        found.group_by("item").agg(pl.col("_first").min().alias("_place")),
        on="item",
        nulls_equal=True,
    )
    items = items.sort("_place").drop("_first", "_count", "_place")
    several = (
        found.filter(pl.col("title") != "")
        .group_by("item", maintain_order=True)
        .agg("title")
        .filter(pl.col("title").list.len() > 1)
    )
    if several.is_empty():
        return items, []
    example = printable(" / ".join(several["title"][0][:3]), 120)
    return items, [
        f"{several.height:,} items have several titles ({example}): the most frequent one is kept, "
        "of equally frequent ones the first"
    ]
