"""The interface of a split rule, and the ordering and numbering that most rules share."""

from abc import abstractmethod
from dataclasses import dataclass

import polars as pl

from corarec.data.labels import LabelConfig
from corarec.data.raw import RawData
from corarec.types import Config


@dataclass(frozen=True)
class SplitResult:
    """Rows in their final order, with their labels, parts and ids."""

    rows: pl.DataFrame
    """user_id, item_id, user, item, rating, timestamp, label, split, and what else the source has;
    users ascending, time ascending inside a user"""
    labels: str
    """how the labels were made, in words"""
    notes: tuple[str, ...] = ()


class SplitRule(Config):
    """A way to cut interactions into train, valid and test; the fields are its options."""

    @abstractmethod
    def apply(self, raw: RawData, labels: LabelConfig) -> SplitResult:
        """Select, label, cut, order and number the interactions.

        Raises
        ------
        DataError
            The data cannot be cut in this way.
        """


def order_and_number(rows: pl.DataFrame) -> pl.DataFrame:
    """Order rows by user and time (stable) and number users and items from 1.

    A user's id is the rank of the raw id (as a number where all are whole numbers, else as text);
    an item's id is that of its first appearance in the ordered rows.
    """
    users = rows.select("user").unique()
    numeric = pl.col("user").cast(pl.Int64, strict=False)
    by_number = not users.select(numeric.is_null().any()).item()
    users = users.sort([numeric, "user"] if by_number else "user")
    ordered = rows.join(
        users.with_row_index("user_id", 1), on="user", how="left", maintain_order="left"
    ).sort("user_id", "timestamp", maintain_order=True)
    return number_items(ordered)


def number_users(rows: pl.DataFrame) -> pl.DataFrame:
    """Give users the ids 1.. by first appearance."""
    return _number_by_appearance(rows, "user")


def number_items(rows: pl.DataFrame) -> pl.DataFrame:
    """Give items the ids 1.. by first appearance."""
    return _number_by_appearance(rows, "item")


def _number_by_appearance(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    names = rows.select(kind).unique(maintain_order=True).with_row_index(f"{kind}_id", 1)
    return rows.join(names, on=kind, how="left", maintain_order="left")
