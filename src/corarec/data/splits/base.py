"""The interface of a split rule, and the ordering and numbering that most rules share."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import polars as pl
from pydantic import Field

from corarec.data.labels import LabelConfig
from corarec.data.raw import RawData
from corarec.data.vocabulary import number_by_appearance, number_users_by_rank
from corarec.types import Config


@dataclass(frozen=True)
class SplitResult:
    """Rows in their final order, with their labels, splits and ids."""

    rows: pl.DataFrame
    """user_id, item_id, user, item, rating, timestamp, label, split, and what else the source has;
    users ascending, time ascending inside a user"""
    labels: str
    """how the labels were made, in words"""
    notes: tuple[str, ...] = ()
    positives_only: bool = False
    """the data has no ratings or labels, or they are not asked: the negatives were drawn"""
    threshold: float | None = None
    """the rating from which on a row is a positive, for rows that the rule leaves out"""
    implicit: bool = False
    """every row that happened is a positive, those that the rule leaves out, too"""


class SplitRule(Config):
    """A way to cut interactions into train, valid and test; the fields are its options."""

    exact_titles: ClassVar[bool] = False
    """reproduces a published split, titles as in the files included"""
    histories: ClassVar[Literal["all", "train"]] = "all"
    """whose likes histories show; `train` where the parts do not follow each other in time"""
    longest_title: int = Field(default=300, ge=20, le=5_000)
    """characters; a longer title is cut"""

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

    A user's id is the rank of the raw id; an item's id is that of its first appearance in the
    ordered rows.
    """
    ordered = number_users_by_rank(rows).sort("user_id", "timestamp", maintain_order=True)
    return number_by_appearance(ordered, "item")
