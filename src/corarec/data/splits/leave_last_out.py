"""Each user's last interactions test, those before them validate."""

import polars as pl
from pydantic import Field

from corarec.data.raw import RawData
from corarec.data.splits.general import GeneralRule
from corarec.data.storage import SplitType


class LeaveLastOut(GeneralRule):
    """A user's last `count` interactions are test, the `count` before them valid, the rest train.

    Last in time; equal times in the order of the source. A user with fewer than 2 count + 1
    interactions is in train as a whole.
    """

    count: int = Field(default=1, ge=1)
    """interactions per user in valid, and as many in test"""

    def cut(self, rows: pl.DataFrame, raw: RawData) -> pl.DataFrame:
        """Count from each user's last interaction backwards."""
        ordered = rows.sort("user", "timestamp", maintain_order=True)
        from_last = (pl.len() - 1 - pl.int_range(pl.len())).over("user")
        too_few = pl.len().over("user") < 2 * self.count + 1
        split = (
            pl.when(too_few | (from_last >= 2 * self.count))
            .then(pl.lit("train"))
            .when(from_last >= self.count)
            .then(pl.lit("valid"))
            .otherwise(pl.lit("test"))
        )
        return ordered.with_columns(split=split.cast(SplitType))
