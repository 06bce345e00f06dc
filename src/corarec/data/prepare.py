"""`corarec prepare`: from the files of a source to a dataset folder."""

from pathlib import Path
from typing import Any, TypeVar

import polars as pl
from pydantic import Field, ValidationError

from corarec.data.card import DatasetCard, SplitCounts
from corarec.data.dataset import Dataset
from corarec.data.inputs import InputFiles
from corarec.data.labels import LabelConfig
from corarec.data.raw import RawData
from corarec.data.sources.base import Source
from corarec.data.sources.movielens import MovieLens
from corarec.data.splits.base import SplitResult, SplitRule
from corarec.data.splits.collm_ml1m import CollmMl1m
from corarec.data.storage import INTERACTIONS_SCHEMA, SPLITS
from corarec.errors import ConfigError, DataError
from corarec.types import Config

DATA_SOURCES: dict[str, type[Source]] = {
    "movielens": MovieLens,
}

SPLIT_RULES: dict[str, type[SplitRule]] = {
    "collm-ml1m": CollmMl1m,
}

Component = TypeVar("Component", bound=Config)


class PrepareConfig(Config):
    """What `corarec prepare` takes."""

    source: str
    """key of `DATA_SOURCES`"""
    input: Path
    """folder, zip or file of the source; a synthetic world needs none"""
    output: Path
    """dataset folder to write; one that stands there is replaced"""
    split: str
    """key of `SPLIT_RULES`"""
    labels: LabelConfig = LabelConfig()
    """threshold and negatives"""
    source_options: dict[str, Any] = Field(default_factory=dict)
    """fields of the source"""
    split_options: dict[str, Any] = Field(default_factory=dict)
    """fields of the split rule"""


def prepare(config: PrepareConfig) -> Dataset:
    """Read a source, cut it, write the dataset folder and return the dataset.

    Raises
    ------
    ConfigError
        A name or an option is unknown or out of bounds.
    DataError
        The input cannot be used; names file and row. Nothing is written then.
    """
    source = _build(DATA_SOURCES, config.source, config.source_options, "source")
    rule = _build(SPLIT_RULES, config.split, config.split_options, "split")
    files = InputFiles(config.input)
    raw = source.read(files)
    result = rule.apply(raw, config.labels)
    _check_parts(result.rows, config.split)
    dataset = _assemble(raw, result, config, source, rule, files.fingerprints())
    dataset.save(config.output)
    return dataset


def _build(
    choices: dict[str, type[Component]], name: str, options: dict[str, Any], what: str
) -> Component:
    if name not in choices:
        raise ConfigError(f"There is no {what} {name!r}; choose one of {', '.join(choices)}.")
    try:
        return choices[name](**options)
    except ValidationError as error:
        known = ", ".join(choices[name].model_fields) or "none"
        complaints = "; ".join(
            f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}" for entry in error.errors()
        )
        raise ConfigError(
            f"Options of the {what} {name!r}: {complaints}. It knows: {known}."
        ) from error


def _check_parts(rows: pl.DataFrame, rule: str) -> None:
    for split in SPLITS:
        labels = rows.filter(pl.col("split") == split)["label"]
        if labels.is_empty():
            times = pl.from_epoch(rows["timestamp"], time_unit="s")
            raise DataError(
                f"The split {rule!r} leaves the part {split!r} empty: the {len(rows)} usable "
                f"interactions run from {times.min()!s} to {times.max()!s}. Choose another rule or "
                "other ratios."
            )
        if labels.n_unique() < 2:
            kind = "positive" if labels[0] else "negative"
            raise DataError(
                f"All {len(labels)} rows of the part {split!r} are {kind}, so nothing can be "
                "learned or measured there. Choose another rating threshold (--threshold) or "
                "split."
            )


def _assemble(
    raw: RawData,
    result: SplitResult,
    config: PrepareConfig,
    source: Source,
    rule: SplitRule,
    fingerprints: dict[str, str],
) -> Dataset:
    in_train = pl.col("split") == "train"
    rows = result.rows.with_columns(
        warm=in_train.any().over("user_id") & in_train.any().over("item_id")
    )
    columns = list(INTERACTIONS_SCHEMA)
    if "true_probability" in rows.columns:
        columns.append("true_probability")
    interactions = rows.select(columns).cast(INTERACTIONS_SCHEMA)
    items = (
        _numbered(rows, "item")
        .join(raw.items, on="item", how="left", maintain_order="left")
        .with_columns(pl.col("title").fill_null(""))
        .rename({"item": "raw_id"})
    )
    users = _numbered(rows, "user")
    if raw.users is not None:
        users = users.join(raw.users, on="user", how="left", maintain_order="left")
    card = DatasetCard(
        name=raw.facts.name,
        source=config.source,
        source_options=source.model_dump(mode="json"),
        split=config.split,
        split_options=rule.model_dump(mode="json"),
        labels=result.labels,
        num_users=users.height,
        num_items=items.height,
        counts={split: _count(interactions.filter(pl.col("split") == split)) for split in SPLITS},
        inputs=fingerprints,
        notes=[*raw.facts.notes, *result.notes],
        licence=raw.facts.licence,
        item_noun_singular=raw.facts.item_noun_singular,
        item_noun_plural=raw.facts.item_noun_plural,
    )
    users = users.rename({"user": "raw_id"})
    return Dataset(card, interactions, items, users, _texts(rows))


def _numbered(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    columns = [pl.col(f"{kind}_id").cast(pl.Int64), pl.col(kind)]
    return rows.select(columns).unique(f"{kind}_id").sort(f"{kind}_id")


def _count(part: pl.DataFrame) -> SplitCounts:
    return SplitCounts(
        rows=part.height,
        users=part["user_id"].n_unique(),
        items=part["item_id"].n_unique(),
        positives=int(part["label"].sum()),
        warm=int(part["warm"].sum()),
    )


def _texts(rows: pl.DataFrame) -> pl.DataFrame | None:
    if "text" not in rows.columns:
        return None
    return rows.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("row"),
        pl.col("user_id", "item_id").cast(pl.Int64),
        "text",
    ).filter(pl.col("text").str.strip_chars() != "")
