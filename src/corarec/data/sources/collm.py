"""CoLLM's published splits: four pickled pandas tables (`train_ood2.pkl` and so on)."""

from typing import Any

import numpy as np
import polars as pl

from corarec.data.inputs import InputFiles, require_columns
from corarec.data.pickled_frame import read_pickled_frame
from corarec.data.raw import RawData, SourceFacts
from corarec.data.sources.base import FileSource, joined
from corarec.data.storage import SPLITS, SplitType

LICENCE = (
    "Published by the authors of CoLLM (arXiv 2310.19488) without terms of its own; the terms of "
    "the data it was made from (MovieLens, Amazon reviews) hold."
)


class Collm(FileSource):
    """A folder or zip with `{train,valid,test}_ood2.pkl`, read without running them.

    Ids, labels and parts are taken as published: use it with `--split published`. Histories are
    rebuilt from the labels. Ratings are not in these files.
    """

    item_noun_singular: str = "movie"
    """what an item is; `book` for Amazon-Book"""
    item_noun_plural: str = "movies"

    def read(self, files: InputFiles) -> RawData:
        """Read the three parts."""
        members = {split: files.require(f"{split}_ood2.pkl") for split in SPLITS}
        where = joined(list(members.values()), files.path)
        table = pl.concat(_read_part(files, member, split) for split, member in members.items())
        table = table.sort("row")
        return RawData(
            facts=SourceFacts(
                f"collm-{files.path.stem}", LICENCE, self.item_noun_singular, self.item_noun_plural
            ),
            interactions=table.drop("title").lazy(),
            items=table.select("item", "title").unique("item", maintain_order=True),
            interactions_file=where,
            items_file=where,
        )


def _read_part(files: InputFiles, member: str, split: str) -> pl.DataFrame:
    with files.open(member) as stream:
        columns = read_pickled_frame(stream, files.where(member))
    needed = ["uid", "iid", "label", "timestamp", "title"]
    require_columns([name for name in columns if name], needed, files.where(member))
    return pl.DataFrame(
        {
            # The index counts the rows of all parts together, in their order.
            "row": _whole(columns[""]),
            "user": pl.Series(_whole(columns["uid"])).cast(pl.String),
            "item": pl.Series(_whole(columns["iid"])).cast(pl.String),
            "rating": pl.Series([None], dtype=pl.Float32).new_from_index(0, len(columns[""])),
            "timestamp": _whole(columns["timestamp"]),
            "label": pl.Series(_whole(columns["label"])).cast(pl.Int8),
            "split": pl.Series([split], dtype=SplitType).new_from_index(0, len(columns[""])),
            "title": [str(title) for title in columns["title"]],
        }
    )


def _whole(values: Any) -> pl.Series:
    return pl.Series(np.asarray(values).astype(np.int64))
