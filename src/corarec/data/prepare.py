"""`corarec prepare`: from the files of a source to a dataset folder."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from pydantic import Field

from corarec.data.assemble import assemble
from corarec.data.dataset import Dataset
from corarec.data.earlier import rows_before_train
from corarec.data.findings import LOUD, rating_range, remarks
from corarec.data.labels import LabelConfig
from corarec.data.sampling import UserSample, sample_users
from corarec.data.sources.amazon import Amazon
from corarec.data.sources.base import Source
from corarec.data.sources.collm import Collm
from corarec.data.sources.movielens import MovieLens
from corarec.data.sources.recbole import RecBole
from corarec.data.sources.service import ServiceEvents
from corarec.data.sources.synthetic import Synthetic
from corarec.data.sources.table import Table
from corarec.data.sources.yelp import Yelp
from corarec.data.splits.base import SplitRule
from corarec.data.splits.collm_amazon_book import CollmAmazonBook
from corarec.data.splits.collm_ml1m import CollmMl1m
from corarec.data.splits.leave_last_out import LeaveLastOut
from corarec.data.splits.new_items import NewItems
from corarec.data.splits.published import Published
from corarec.data.splits.temporal import Temporal
from corarec.data.storage import KIND, SPLITS
from corarec.data.titles import mend_titles, shared_titles, tell_beside_titles
from corarec.errors import ConfigError, DataError, did_you_mean
from corarec.files import real_place
from corarec.ownership import check_inputs_survive, check_replaceable
from corarec.registry import Registry
from corarec.types import Config

DATA_SOURCES: Registry[Source] = Registry(
    "source",
    "corarec.data_sources",
    Source,
    {
        "movielens": MovieLens,
        "amazon": Amazon,
        "yelp": Yelp,
        "recbole": RecBole,
        "table": Table,
        "collm": Collm,
        "synthetic": Synthetic,
        "events": ServiceEvents,
    },
)

SPLIT_RULES: Registry[SplitRule] = Registry(
    "split rule",
    "corarec.split_rules",
    SplitRule,
    {
        "collm-ml1m": CollmMl1m,
        "collm-amazon-book": CollmAmazonBook,
        "temporal": Temporal,
        "leave-last-out": LeaveLastOut,
        "new-items": NewItems,
        "published": Published,
    },
)

Component = TypeVar("Component", bound=Config)


class PrepareConfig(Config):
    """What `corarec prepare` takes."""

    source: str
    """key of `DATA_SOURCES`"""
    input: Path | None = None
    """folder, zip or file of the source; a synthetic world needs none"""
    output: Path
    """dataset folder to write; a dataset that stands there, as corarec wrote it, is replaced"""
    split: str
    """key of `SPLIT_RULES`"""
    labels: LabelConfig = LabelConfig()
    """threshold and negatives"""
    sample: UserSample | None = None
    """keep a share of the users only, for studies"""
    keep_earlier: bool = False
    """keep the rows from before train, which the rule drops, as a part of their own (`earlier`)"""
    beside_titles: tuple[str, ...] = ()
    """columns of the items' table, such as genres, that every title is followed by, in brackets"""
    source_options: dict[str, Any] = Field(default_factory=dict)
    """fields of the source"""
    split_options: dict[str, Any] = Field(default_factory=dict)
    """fields of the split rule"""


def prepare(config: PrepareConfig) -> Dataset:
    """Read a source, cut it, write the dataset folder and return the dataset.

    Raises
    ------
    ConfigError
        A name or an option is unknown or out of bounds, or what stands at the output (the input, or
        anything but a dataset as corarec wrote it) would be lost.
    DataError
        The input cannot be used; names file and row. Nothing is written then.
    """
    source = _build(DATA_SOURCES, config.source, config.source_options, "source")
    rule = _build(SPLIT_RULES, config.split, config.split_options, "split")
    output = real_place(config.output)
    if config.input is not None:
        check_inputs_survive(output, [config.input])
    check_replaceable(output, KIND)
    raw, fingerprints = source.load(config.input)
    is_exact = rule.exact_titles or raw.facts.exact_titles
    told, told_notes = tell_beside_titles(raw.items, config.beside_titles)
    items, notes = mend_titles(told, rule.longest_title, exact=is_exact)
    notes = (*told_notes, *notes)
    raw = replace(raw, items=items)
    result = rule.apply(raw, config.labels)
    if config.sample is not None:
        result = sample_users(result, config.sample)
    _check_parts(result.rows, config.split)
    seen = remarks(result.rows, positives_only=result.positives_only, implicit=result.implicit)
    result = replace(result, notes=(*notes, *result.notes, *seen))
    earlier = None
    if config.keep_earlier:
        earlier = rows_before_train(raw, result, config.split, config.sample)
    dataset = assemble(
        raw,
        result,
        fingerprints,
        source=(config.source, source),
        split=(config.split, rule),
        sample=config.sample,
        earlier=earlier,
    )
    card = dataset.card
    together = [*card.notes, *shared_titles(dataset.items)]
    together.sort(key=lambda note: not note.startswith(LOUD))
    dataset = replace(dataset, card=card.model_copy(update={"notes": together}))
    dataset.save(output)
    return dataset


def _build(
    choices: Mapping[str, type[Component]], name: str, options: dict[str, Any], what: str
) -> Component:
    if name not in choices:
        hint = did_you_mean(name, choices)
        raise ConfigError(
            f"There is no {what} {name!r}; choose one of {', '.join(choices)}. {hint}".rstrip()
        )
    return choices[name].parse(
        options, f"What was given to the {what} {name!r} (see `corarec options {name}`)"
    )


def _check_parts(rows: pl.DataFrame, rule: str) -> None:
    for split in SPLITS:
        labels = rows.select("split", "label").filter(pl.col("split") == split)["label"]
        if labels.is_empty():
            times = pl.from_epoch(rows["timestamp"], time_unit="s")
            raise DataError(
                f"The split {rule!r} leaves the split {split!r} empty: the {len(rows)} usable "
                f"interactions run from {times.min()!s} to {times.max()!s}. Choose another rule or "
                "other ratios."
            )
        if labels.n_unique() < 2:
            kind = "positive" if labels[0] else "negative"
            raise DataError(
                f"All {len(labels)} rows of the split {split!r} are {kind}, so nothing can be "
                f"learned or measured there. Here {rating_range(rows)}. Choose another rating "
                "threshold (--threshold) or split."
            )
