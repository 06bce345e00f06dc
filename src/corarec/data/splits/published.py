"""The splits as the source gives them."""

import polars as pl

from corarec.data.raw import RawData
from corarec.data.splits.general import GeneralRule
from corarec.errors import DataError


class Published(GeneralRule):
    """Train, valid and test as in the files (collm; recbole and table where they name splits)."""

    def cut(self, rows: pl.DataFrame, raw: RawData) -> pl.DataFrame:
        """Keep the column `split` of the source.

        Raises
        ------
        DataError
            The source names no splits.
        """
        if "split" not in rows.columns:
            raise DataError(
                f"{raw.interactions_file} does not say which row belongs to train, valid or test. "
                "Choose a rule that cuts: temporal or leave-last-out."
            )
        return rows
