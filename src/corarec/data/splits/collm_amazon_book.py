"""CoLLM's split of Amazon-Book 2018, which CoRA and BinLLM use."""

import polars as pl

from corarec.data.labels import LabelConfig, label_rows, require_default_labels
from corarec.data.raw import RawData
from corarec.data.splits.base import SplitResult, SplitRule
from corarec.data.storage import SplitType
from corarec.data.vocabulary import number_by_appearance

THRESHOLD = 5.0
YEAR = 2017
MORE_THAN = 20


class CollmAmazonBook(SplitRule):
    """The year 2017 (UTC): train to November, December cut in half by time.

    Source: `dataset/amazon_book/processing_ood.ipynb` of CoLLM (arXiv 2310.19488), on
    `Books_5.json.gz` and `meta_Books.json.gz`. Reviews are joined with the metadata (last entry
    per item; the order of rows is that of the metadata, file order inside an item); users and
    items with more than 20 ratings in the year stay, both counted before the one filtering pass.
    Ids are given by first appearance in that order. Then a stable sort by (user, time) of train,
    valid, test.

    The authors order December with numpy's unstable sort, which is not the same on all machines;
    here equal times keep their order. Amazon's times are whole days, so some rows of the one day
    in the middle may be in the other half than theirs.
    """

    exact_titles = True

    def apply(self, raw: RawData, labels: LabelConfig) -> SplitResult:
        """Select the year and the active users and items, label at rating 5, cut and number."""
        require_default_labels("collm-amazon-book", labels, raw)
        places = raw.items.lazy().select("item").with_row_index("place")
        complete = pl.all_horizontal(pl.col("user", "rating", "timestamp").is_not_null())
        time = pl.from_epoch("timestamp", time_unit="s").dt
        year = (
            raw.interactions.filter(complete & (time.year() == YEAR))
            .join(places, on="item", how="inner")
            .sort("place", "row")
        )
        active = (pl.len().over("user") > MORE_THAN) & (pl.len().over("item") > MORE_THAN)
        rows = raw.collect(raw.collect(year).lazy().filter(active).drop("place"))
        rows, how = label_rows(number_by_appearance(rows, "user", "item"), THRESHOLD)
        in_december = time.month() == 12
        train = rows.filter(~in_december)
        december = rows.filter(in_december).sort("timestamp", maintain_order=True)
        half = december.height // 2
        by_split = {"train": train, "valid": december[:half], "test": december[half:]}
        together = pl.concat(
            rows.with_columns(split=pl.lit(name, SplitType)) for name, rows in by_split.items()
        )
        ordered = together.sort("user_id", "timestamp", maintain_order=True)
        return SplitResult(ordered, how, threshold=THRESHOLD)
