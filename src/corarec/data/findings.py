"""What a careful reader would remark about interactions before working with them."""

import time

import numpy as np
import polars as pl

from corarec.data.storage import SPLITS
from corarec.errors import DataError
from corarec.text import printable

DAY = 86_400
YEAR_1, YEAR_9999 = -62_135_596_800, 253_402_300_799
"""UTC seconds at the ends of what a calendar here knows"""
LOPSIDED = 0.95
LOUD = "ASSUMED: "
"""starts each note about what the data did not say"""

NO_RATINGS = (
    f"{LOUD}there are no ratings or labels, so every interaction counts as liked, even if some "
    "were not, and negatives are drawn among the other items; if there are ratings, name their "
    "column"
)


def check_times(table: pl.DataFrame, file: object) -> None:
    """Refuse times that no calendar has.

    Raises
    ------
    DataError
        Names the first such row.
    """
    wrong = table.filter(~pl.col("timestamp").is_between(YEAR_1, YEAR_9999))
    if not wrong.is_empty():
        raise DataError(
            f"{file}, row {wrong['row'][0]}: the time {wrong['timestamp'][0]:,} seconds since 1970 "
            "is outside of the years 1 to 9999. Check the unit of the times (time_unit for the "
            "source 'table') and the order of the columns."
        )


def remarks(rows: pl.DataFrame, *, positives_only: bool, implicit: bool = False) -> tuple[str, ...]:
    """Return notes on interactions that are labelled and cut.

    Parameters
    ----------
    rows
        user, item, timestamp, label, rating, split
    positives_only
        the negatives among the rows were drawn here
    implicit
        that was asked for
    """
    notes = [NO_RATINGS] if positives_only and not implicit else []
    given = rows.select("user", "item", "timestamp", "label")
    given = given.filter(pl.col("label") == 1) if positives_only else given
    notes += _on_times(given["timestamp"])
    again, exact = _repetitions(given)
    if again:
        notes.append(
            f"{again:,} of {given.height:,} interactions repeat a user and an item"
            + (f", {exact:,} of them at the same second" if exact else "")
            + "; all are kept"
        )
    if not positives_only:
        notes += _on_labels(rows)
    notes += [note for kind in ("user", "item") for note in _on_ids(rows[kind], kind)]
    return (*notes, *_on_parts(rows))


def _repetitions(given: pl.DataFrame) -> tuple[int, int]:
    """Return how many rows repeat the pair of another one, and how many its second, too."""
    users, items = (
        given[kind].cast(pl.Categorical).to_physical().to_numpy().astype(np.uint64)
        for kind in ("user", "item")
    )
    # One number for a pair: sorting these takes a tenth of what a table of distinct pairs takes.
    pairs = (users << np.uint64(32)) | items
    ordered = np.sort(pairs)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return 0, 0
    places = np.minimum(np.searchsorted(repeated, pairs), len(repeated) - 1)
    several = pl.DataFrame({"pair": pairs, "timestamp": given["timestamp"]}).filter(
        repeated[places] == pairs
    )
    several = several.sort("pair", "timestamp")
    same = several.select((pl.all() == pl.all().shift(1)).fill_null(value=False))
    return len(repeated), int(same.select(pl.all_horizontal(pl.all()).sum()).item())


def _on_ids(ids: pl.Series, kind: str) -> list[str]:
    forms = pl.DataFrame({"id": ids.unique(maintain_order=True).cast(pl.String)})
    forms = forms.with_columns(text=pl.col("id").str.normalize("NFC"))
    twice = forms.filter(pl.col("text").is_duplicated())
    if twice.is_empty():
        return []
    return [
        f"{twice.height:,} {kind}s have an id that is another one's but for its Unicode form, such "
        f"as '{printable(twice['text'][0], 60)}': they are kept apart; if they are the same, write "
        "the ids in one form (NFC)"
    ]


def _on_times(times: pl.Series) -> list[str]:
    notes = []
    if times.min() == times.max():
        notes.append(f"{LOUD}all times are the same, so the order is that of the file")
    elif zeros := int((times == 0).sum()):
        notes.append(f"{zeros:,} interactions have the time 0, which may stand for an unknown one")
    if early := int((times < 0).sum()):
        notes.append(f"{early:,} interactions are from before 1970")
    if late := int((times > time.time() + DAY).sum()):
        latest = str(pl.from_epoch(times, time_unit="s").max())
        notes.append(f"{late:,} interactions lie in the future (the last one at {latest})")
    return notes


def _on_labels(rows: pl.DataFrame) -> list[str]:
    share = float(rows["label"].cast(pl.Float64).mean() or 0.0)  # type: ignore[arg-type]
    if 1 - LOPSIDED <= share <= LOPSIDED:
        return []
    scale = ""
    if rows["rating"].null_count() < rows.height:
        scale = f"; {rating_range(rows)}"
    return [f"{share:.1%} of the rows are positive{scale}: check the threshold (--threshold)"]


def rating_range(rows: pl.DataFrame) -> str:
    """Say in words from where to where ratings run."""
    ratings = rows["rating"].drop_nulls().to_numpy()
    if not len(ratings):
        return "there are no ratings"
    return f"ratings run from {ratings.min():g} to {ratings.max():g}"


def _on_parts(rows: pl.DataFrame) -> list[str]:
    found = [rows.select(kind, "split").unique() for kind in ("user", "item")]
    notes = []
    for split in SPLITS[1:]:
        counts = []
        for names in found:
            there = names.filter(pl.col("split") == split)
            known = names.filter(pl.col("split") == "train")
            new = there.join(known, on=names.columns[0], how="anti")
            counts.append((new.height, there.height))
        (users, all_users), (items, all_items) = counts
        if users or items:
            notes.append(
                f"{split}: {users:,} of {all_users:,} users and {items:,} of {all_items:,} items "
                "are not in train"
            )
    return notes
