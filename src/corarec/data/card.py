"""What a dataset folder says about itself: `card.json`."""

from typing import Any

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
    num_users: int
    num_items: int
    counts: dict[str, SplitCounts]
    """by split: train, valid, test"""
    inputs: dict[str, str] = Field(default_factory=dict)
    """SHA-256 fingerprint of each input file"""
    notes: list[str] = Field(default_factory=list)
    """what was dropped or added on the way"""
    licence: str
    """who may use the data for what"""
    item_noun_singular: str = "item"
    item_noun_plural: str = "items"
