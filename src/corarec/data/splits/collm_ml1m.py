"""CoLLM's split of MovieLens-1M, row for row: the one that CoRA and BinLLM use."""

import polars as pl

from corarec.data.labels import LabelConfig, label_rows, require_default_labels
from corarec.data.raw import RawData
from corarec.data.splits.base import SplitResult, SplitRule, order_and_number
from corarec.data.storage import SplitType

THRESHOLD = 4.0
FIRST_MONTH = 2000 * 12 + 4
"""April 2000, month 0"""
LAST_MONTHS = {"train": 23, "valid": 28, "test": 33}
TRAIN_STARTS = 14


class CollmMl1m(SplitRule):
    """Windows of UTC months: train 2001-06 to 2002-03, valid to 2002-08, test to 2003-01.

    Source: `dataset/ml-1m/processing_ood.ipynb` of CoLLM (arXiv 2310.19488). Ratings are joined
    with movies, nothing is filtered. Half of the rows share user and second with another: the
    order before the stable sort by (user, time) is by item, items in order of first appearance in
    the ratings, file order inside an item.
    """

    exact_titles = True

    def apply(self, raw: RawData, labels: LabelConfig) -> SplitResult:
        """Select the months, label at rating 4, order and number."""
        require_default_labels("collm-ml1m", labels, raw)
        time = pl.from_epoch("timestamp", time_unit="s").dt
        month = time.year().cast(pl.Int32) * 12 + time.month() - FIRST_MONTH
        split = (
            pl.when(month <= LAST_MONTHS["train"])
            .then(pl.lit("train"))
            .when(month <= LAST_MONTHS["valid"])
            .then(pl.lit("valid"))
            .otherwise(pl.lit("test"))
            .cast(SplitType)
        )
        titled = raw.items.lazy().select("item")
        selected = (
            raw.interactions.join(titled, on="item", how="semi")
            .with_columns(first_row=pl.col("row").min().over("item"), split=split)
            .filter(month.is_between(TRAIN_STARTS, LAST_MONTHS["test"]))
            .sort("split", "first_row", "row")
            .drop("first_row")
        )
        rows, how = label_rows(raw.collect(selected), THRESHOLD)
        return SplitResult(order_and_number(rows), how, threshold=THRESHOLD)
