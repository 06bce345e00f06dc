"""Items of which train has no row: what the text of an item is for."""

from typing import ClassVar, Literal

import numpy as np
import polars as pl
from pydantic import Field

from corarec.data.labels import LabelConfig, add_negatives
from corarec.data.raw import RawData
from corarec.data.splits.general import GeneralRule
from corarec.data.storage import SPLITS, SplitType
from corarec.errors import DataError

FEWEST_ITEMS = 10


class NewItems(GeneralRule):
    """A share of the items, drawn by a seed, is new: half of them are valid, half are test.

    All rows of these items are valid or test rows, all rows of the others are train. A row of a new
    item whose user has no row in train is left out, so that users are known. The parts do not
    follow each other in time, so histories show likes of training rows alone. Sampled negatives are
    drawn among the items of their own part. With `shown` new items have a few rows in train.
    """

    histories: ClassVar[Literal["all", "train"]] = "train"
    share: float = Field(default=0.2, gt=0, lt=1)
    """of the items that are new"""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """of the draw"""
    shown: int = Field(default=0, ge=0, le=1_000_000)
    """with more than 0 some of the new items are not quite new: the earliest rows of each stay in
    train, so many that their number is spread evenly in its logarithm from 0 to this one"""

    def cut(self, rows: pl.DataFrame, raw: RawData) -> pl.DataFrame:
        """Draw the new items.

        Raises
        ------
        DataError
            There are too few items.
        """
        items = rows["item"].unique().sort()
        new = round(self.share * len(items))
        if len(items) < FEWEST_ITEMS or new < 2 or new == len(items):
            raise DataError(
                f"{raw.interactions_file} has usable rows of {len(items)} items, {new} of which "
                f"would be new; wanted are at least {FEWEST_ITEMS} items, 2 of them new and one "
                "not. Give more data, or another --split-option share."
            )
        order = np.random.default_rng(self.seed).permutation(len(items))
        random = np.random.default_rng(self.seed + 2**32)
        kept = np.floor((self.shown + 1.0) ** random.random(len(items))).astype(np.int64) - 1
        parts = np.full(len(items), SPLITS[0], dtype=object)
        parts[order[: new // 2]] = SPLITS[1]
        parts[order[new // 2 : new]] = SPLITS[2]
        of_items = pl.DataFrame(
            {
                "item": items,
                "split": pl.Series(parts.tolist(), dtype=SplitType),
                "kept": kept,
            }
        )
        rows = rows.drop("split", strict=False).join(
            of_items, on="item", how="left", maintain_order="left"
        )
        if self.shown > 0:
            place = pl.col("timestamp").rank("ordinal").over("item")
            train = pl.lit(SPLITS[0], dtype=SplitType)
            shown = place <= pl.col("kept")
            rows = rows.with_columns(split=pl.when(shown).then(train).otherwise(pl.col("split")))
        rows = rows.drop("kept")
        in_train = (pl.col("split") == SPLITS[0]).any().over("user")
        return rows.filter(in_train)

    def with_negatives(self, rows: pl.DataFrame, labels: LabelConfig) -> tuple[pl.DataFrame, str]:
        """Draw the negatives of each part among its own items, which have no row in another."""
        drawn = [add_negatives(part, labels) for part in rows.partition_by("split")]
        together = pl.concat(part for part, _ in drawn)
        return together, f"{drawn[0][1]}, in each part among its own"
