"""Cut at two moments: what came first trains, what came last tests."""

from typing import Self

import polars as pl
from pydantic import Field, model_validator

from corarec.data.raw import RawData
from corarec.data.splits.general import GeneralRule
from corarec.data.storage import SplitType


class Temporal(GeneralRule):
    """Two moments cut the time line so that the splits have about the wanted shares of the rows.

    With the N rows in order of time, the moments are the times of the rows at the positions
    floor(N (1 - valid - test)) and floor(N (1 - test)), counted from 0. Rows before the first
    moment are train, rows from the second on are test. Equal times stay together.
    """

    valid: float = Field(default=0.1, gt=0, lt=1)
    """share of the rows in valid"""
    test: float = Field(default=0.1, gt=0, lt=1)
    """share of the rows in test; the rest is train"""

    @model_validator(mode="after")
    def _leave_a_train_part(self) -> Self:
        if self.valid + self.test >= 1:
            raise ValueError(
                f"valid + test is {self.valid + self.test:g}, nothing is left to train"
            )
        return self

    def cut(self, rows: pl.DataFrame, raw: RawData) -> pl.DataFrame:
        """Cut at the two moments."""
        times = rows["timestamp"].sort()
        # 1e-9: 10 * (1 - 0.1 - 0.1) is a hair below 8 in floating point.
        first = times[int(len(rows) * (1 - self.valid - self.test) + 1e-9)]
        second = times[int(len(rows) * (1 - self.test) + 1e-9)]
        split = (
            pl.when(pl.col("timestamp") < first)
            .then(pl.lit("train"))
            .when(pl.col("timestamp") < second)
            .then(pl.lit("valid"))
            .otherwise(pl.lit("test"))
        )
        return rows.with_columns(split=split.cast(SplitType))
