"""What a dataset folder says about itself: `card.json`."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from corarec.types import Config

FORMAT_VERSION = 1


class SplitCounts(Config):
    """The size of one part of a dataset."""

    rows: int
    users: int
    items: int
    positives: int
    warm: int
    """rows whose user and item both occur in train"""


class DatasetCard(Config):
    """Where a dataset comes from, how it was cut and how large it is."""

    format_version: int = FORMAT_VERSION
    name: str
    """short name, for tables and logs"""
    source: str
    """key of `DATA_SOURCES`"""
    source_options: dict[str, Any] = Field(default_factory=dict)
    split: str
    """key of `SPLIT_RULES`"""
    split_options: dict[str, Any] = Field(default_factory=dict)
    sample: dict[str, Any] | None = None
    """share and seed where only a sample of the users was kept"""
    labels: str
    """how a row came to be labelled, in words"""
    negatives_drawn: bool = False
    """rows labelled 0 never happened: their items were drawn"""
    num_users: int
    num_items: int
    counts: dict[str, SplitCounts]
    """by split: train, valid, test; earlier, where rows from before train are kept"""
    histories: Literal["all", "train"] = "all"
    """whose likes the histories of later rows show: those of all parts, or of train alone where the
    parts do not follow each other in time"""
    inputs: dict[str, str] = Field(default_factory=dict)
    """SHA-256 fingerprint of each input file"""
    notes: list[str] = Field(default_factory=list)
    """what was dropped or added on the way"""
    licence: str
    """who may use the data for what"""
    item_noun_singular: str = "item"
    item_noun_plural: str = "items"

    def counts_of(self, splits: Sequence[str]) -> int:
        """Return how many rows some parts have together."""
        return sum(self.counts[split].rows for split in splits if split in self.counts)
