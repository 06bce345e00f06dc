"""What a service was told, joined to the dataset that its run was trained on."""

from pathlib import Path

import polars as pl

from corarec.data.dataset import Dataset
from corarec.data.events import read_events
from corarec.data.inputs import InputFiles
from corarec.data.raw import RawData, SourceFacts
from corarec.data.sources.base import FileSource
from corarec.errors import ConfigError, DataError


class ServiceEvents(FileSource):
    """The events of a service (`corarec events export`), after the rows of an earlier dataset.

    A like is a row of label 1, a dislike one of label 0; of several opinions of a user on an item
    the last counts, in the place of the dataset's own where there is one. What was only seen says
    nothing. Labels are as they were told, whatever threshold is given.
    """

    base: Path | None = None
    """the dataset folder that the run was trained on"""
    items: Path | None = None
    """Parquet file of added items; None: the one beside the events, where there is one"""

    def read(self, files: InputFiles) -> RawData:
        """Read the events and the dataset."""
        if self.base is None:
            raise ConfigError(
                "Events are joined to the dataset that the run was trained on; name its folder "
                "with --option base=FOLDER."
            )
        if not files.path.is_file():
            raise DataError(f"{files.path} is no file. Give the events that were exported.")
        told, base = read_events(files.path, self.items), Dataset.load(self.base)
        opinions = told.opinions().select(
            "user",
            "item",
            pl.col("stars").cast(pl.Float32).alias("rating"),
            pl.col("time").alias("timestamp"),
            pl.col("label").cast(pl.Int8),
        )
        users = base.users.select("user_id", user=pl.col("raw_id"))
        items = base.items.select("item_id", item=pl.col("raw_id"))
        rows = (
            base.interactions.join(users, on="user_id", maintain_order="left")
            .join(items, on="item_id", maintain_order="left")
            .select(
                "user",
                "item",
                pl.col("rating").cast(pl.Float32),
                pl.col("timestamp").cast(pl.Int64),
                pl.col("label").cast(pl.Int8),
            )
            .join(opinions, on=["user", "item"], how="anti", maintain_order="left")
        )
        old_items = base.items.drop("item_id").rename({"raw_id": "item"})
        new_items = told.items.filter(~pl.col("item").is_in(old_items["item"].implode()))
        shared = [name for name in new_items.columns if name in old_items.columns]
        new_items = new_items.select(
            pl.col(name).cast(old_items.schema[name], strict=False) for name in shared
        )
        everything = pl.concat([rows, opinions]).with_row_index("row", 1)
        card = base.card
        return RawData(
            facts=SourceFacts(
                card.name,
                card.licence,
                card.item_noun_singular,
                card.item_noun_plural,
                (f"{len(opinions):,} of the rows were told to a service", *card.notes),
                exact_titles=True,
            ),
            interactions=everything.with_columns(pl.col("row").cast(pl.Int64)).lazy(),
            items=pl.concat([old_items, new_items], how="diagonal"),
            interactions_file=files.path,
            items_file=files.path if self.items is None else self.items,
        )
