"""CoLLM's published splits: four pickled pandas tables (`train_ood2.pkl` and so on)."""

import io
from pathlib import Path

import numpy as np
import polars as pl

from corarec.data.columns import require_columns
from corarec.data.inputs import InputFiles
from corarec.data.pickled_frame import Column, read_pickled_frame
from corarec.data.raw import RawData, SourceFacts
from corarec.data.sources.base import FileSource, joined
from corarec.data.storage import SPLITS, SplitType
from corarec.errors import DataError
from corarec.text import printable

LICENCE = (
    "Published by the authors of CoLLM (arXiv 2310.19488) without terms of its own; the terms of "
    "the data it was made from (MovieLens, Amazon reviews) hold."
)


class Collm(FileSource):
    """A folder or zip with `{train,valid,test}_ood2.pkl`, read without running them.

    Ids, labels and splits are taken as published: use it with `--split published`. Histories are
    rebuilt from the labels. Ratings are not in these files.
    """

    item_noun_singular: str = "movie"
    """what an item is; `book` for Amazon-Book"""
    item_noun_plural: str = "movies"
    """what several of them are, for prompts"""

    def read(self, files: InputFiles) -> RawData:
        """Read the three splits."""
        members = {split: files.require(f"{split}_ood2.pkl") for split in SPLITS}
        where = joined(list(members.values()), files.path)
        table = pl.concat(_read_part(files, member, split) for split, member in members.items())
        table = table.sort("row")
        return RawData(
            facts=SourceFacts(
                f"collm-{files.path.stem}",
                LICENCE,
                self.item_noun_singular,
                self.item_noun_plural,
                exact_titles=True,
            ),
            interactions=table.drop("title").lazy(),
            items=table.select("item", "title").unique("item", maintain_order=True),
            interactions_file=where,
            items_file=where,
        )


def _read_part(files: InputFiles, member: str, split: str) -> pl.DataFrame:
    columns = read_pickled_frame(io.BytesIO(files.read(member)), files.where(member))
    needed = ["uid", "iid", "label", "timestamp", "title"]
    require_columns([name for name in columns if name], needed, files.where(member))
    where = files.where(member)
    size = len(columns[""])
    # The index counts the rows of all splits together, in their order.
    row = _whole(columns[""], "index", where)
    titles = columns["title"].tolist()
    for number, title in enumerate(titles):
        if type(title) is not str and title is not None and title == title:
            raise DataError(
                f"{where}, row {row[number]}: title is a {type(title).__name__}, expected a text. "
                "Mend the row."
            )
    return pl.DataFrame(
        {
            "row": row,
            "user": _whole(columns["uid"], "uid", where).cast(pl.String),
            "item": _whole(columns["iid"], "iid", where).cast(pl.String),
            "rating": pl.Series([None], dtype=pl.Float32).new_from_index(0, size),
            "timestamp": _whole(columns["timestamp"], "timestamp", where),
            "label": _labels(columns["label"], where),
            "split": pl.Series([split], dtype=SplitType).new_from_index(0, size),
            "title": [title if type(title) is str else "" for title in titles],
        }
    )


def _whole(values: Column, name: str, file: Path) -> pl.Series:
    """Return whole numbers, however the table holds them."""
    for row, value in enumerate(values.tolist()) if values.dtype.kind not in "iu" else ():
        if type(value) not in (int, float) or not abs(value) < 2**53 or value != int(value):
            raise DataError(
                f"{file}, row {row} (from 0): {name} is {printable(value, 60)}, expected a whole "
                "number. Mend the row."
            )
    if values.dtype == np.uint64 and values.max(initial=0) >= 2**63:
        raise DataError(f"{file}: {name} has numbers that are too large. Check the column.")
    return pl.Series(values.astype(np.int64))


def _labels(values: Column, file: Path) -> pl.Series:
    labels = _whole(values.astype(np.int64) if values.dtype == bool else values, "label", file)
    other = labels.filter(~labels.is_in([0, 1]))
    if len(other):
        raise DataError(f"{file}: label is {other[0]}, expected 0 or 1. Check the column.")
    return labels.cast(pl.Int8)
