"""What the rules for any data share: titles, labels, sampled negatives, order and ids."""

from abc import abstractmethod
from typing import Literal

import polars as pl

from corarec.data.labels import LabelConfig, add_negatives, has_positives_only, label_rows
from corarec.data.raw import RawData, require_titles
from corarec.data.splits.base import SplitResult, SplitRule, order_and_number
from corarec.data.vocabulary import in_short

DEFAULT_THRESHOLD = 4.0


class GeneralRule(SplitRule):
    """A rule that differs from the others only in how it cuts."""

    untitled: Literal["error", "drop"] = "error"
    """interactions whose item has no title: refuse the data, or leave them out"""

    def apply(self, raw: RawData, labels: LabelConfig) -> SplitResult:
        """Label, cut, add negatives where there are none, order and number."""
        rows = raw.collect(raw.interactions)
        notes: tuple[str, ...] = ()
        if self.untitled == "drop":
            titled = raw.items.filter(pl.col("title").str.strip_chars() != "")
            kept = rows.join(titled, on="item", how="semi", maintain_order="left")
            notes = (f"{len(rows) - len(kept)} interactions with untitled items left out",)
            rows = kept
        else:
            require_titles(rows, raw)
        threshold = DEFAULT_THRESHOLD if labels.threshold is None else labels.threshold
        if labels.implicit:
            rows, how = rows.with_columns(label=pl.lit(1, pl.Int8)), ""
        else:
            rows, how = label_rows(rows, threshold)
        rows = in_short(self.cut(rows, raw))
        positives_only = labels.implicit or has_positives_only(rows)
        if positives_only:
            rows, how = self.with_negatives(rows, labels)
        return SplitResult(
            order_and_number(rows), how, notes, positives_only, threshold, labels.implicit
        )

    def with_negatives(self, rows: pl.DataFrame, labels: LabelConfig) -> tuple[pl.DataFrame, str]:
        """Draw negatives for positives, and say in words how."""
        return add_negatives(rows, labels)

    @abstractmethod
    def cut(self, rows: pl.DataFrame, raw: RawData) -> pl.DataFrame:
        """Add the column `split` to `rows`, which are in the order of the source."""
