"""The last step of preparing: from ordered rows to a `Dataset` with its tables and card."""

import numpy as np
import polars as pl

from corarec.data.card import DatasetCard, SplitCounts
from corarec.data.dataset import Dataset
from corarec.data.raw import RawData
from corarec.data.splits.base import SplitResult, SplitRule
from corarec.data.storage import EARLIER, INTERACTIONS_SCHEMA, SPLITS
from corarec.types import Config


def assemble(
    raw: RawData,
    result: SplitResult,
    fingerprints: dict[str, str],
    *,
    source: tuple[str, Config],
    split: tuple[str, SplitRule],
    sample: Config | None = None,
    earlier: pl.DataFrame | None = None,
) -> Dataset:
    """Put the tables of a dataset together.

    Parameters
    ----------
    raw
        titles, metadata and facts of the source
    result
        the interactions as a split rule left them
    fingerprints
        SHA-256 by input file
    source, split
        name and options of each, for the card
    sample
        how users were sampled, for the card, if they were
    earlier
        rows from before train, with their ids and labels
    """
    rows = result.rows
    in_train = rows.select("user_id", "item_id", "split").filter(pl.col("split") == "train")
    rows = rows.with_columns(warm=_known(rows, in_train))
    columns = list(INTERACTIONS_SCHEMA)
    if "true_probability" in rows.columns:
        columns.append("true_probability")
    interactions = rows.select(columns).cast(INTERACTIONS_SCHEMA)
    names = {kind: _names(rows, kind) for kind in ("user", "item")}
    counts = {split: _count(interactions, split) for split in SPLITS}
    if earlier is not None:
        names = {
            kind: pl.concat([known, _names(earlier, kind)]).unique(f"{kind}_id")
            for kind, known in names.items()
        }
        earlier = earlier.with_columns(warm=_known(earlier, in_train))
        earlier = earlier.select(list(INTERACTIONS_SCHEMA)).cast(INTERACTIONS_SCHEMA)
        counts[EARLIER] = _count(earlier, EARLIER)
    items = (
        names["item"]
        .sort("item_id")
        .join(raw.items, on="item", how="left", maintain_order="left")
        .with_columns(pl.col("title").fill_null(""))
        .rename({"item": "raw_id"})
    )
    users = names["user"].sort("user_id")
    if raw.users is not None:
        users = users.join(raw.users, on="user", how="left", maintain_order="left")
    card = DatasetCard(
        name=raw.facts.name,
        source=source[0],
        source_options=source[1].model_dump(mode="json"),
        split=split[0],
        split_options=split[1].model_dump(mode="json"),
        sample=None if sample is None else sample.model_dump(mode="json"),
        labels=result.labels,
        negatives_drawn=result.positives_only,
        num_users=users.height,
        num_items=items.height,
        counts=counts,
        histories=split[1].histories,
        inputs=fingerprints,
        notes=[*raw.facts.notes, *result.notes],
        licence=raw.facts.licence,
        item_noun_singular=raw.facts.item_noun_singular,
        item_noun_plural=raw.facts.item_noun_plural,
    )
    users = users.rename({"user": "raw_id"})
    return Dataset(card, interactions, items, users, _texts(rows), earlier)


def _known(rows: pl.DataFrame, in_train: pl.DataFrame) -> pl.Series:
    """Tell which rows have a user and an item that train has: [N]."""
    known = np.ones(rows.height, np.bool_)
    for name in ("user_id", "item_id"):
        ids = rows[name].to_numpy()
        largest = max(ids.max(initial=0), in_train[name].to_numpy().max(initial=0))
        there = np.zeros(int(largest) + 1, np.bool_)
        there[in_train[name].to_numpy()] = True
        known &= there[ids]
    return pl.Series(known)


def _names(rows: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Return each number that `rows` have once, as KIND_id, with the id of the source."""
    return (
        rows.select(f"{kind}_id", kind)
        .unique(f"{kind}_id")
        .select(pl.col(f"{kind}_id").cast(pl.Int64), pl.col(kind).cast(pl.String))
    )


def _count(interactions: pl.DataFrame, split: str) -> SplitCounts:
    counted = ["user_id", "item_id", "label", "warm"]
    rows = interactions.select(*counted, "split").filter(pl.col("split") == split)
    return SplitCounts(
        rows=rows.height,
        users=rows["user_id"].n_unique(),
        items=rows["item_id"].n_unique(),
        positives=int(rows["label"].sum()),
        warm=int(rows["warm"].sum()),
    )


def _texts(rows: pl.DataFrame) -> pl.DataFrame | None:
    if "text" not in rows.columns:
        return None
    return rows.select(
        pl.int_range(pl.len(), dtype=pl.Int64).alias("row"),
        pl.col("user_id", "item_id").cast(pl.Int64),
        "text",
    ).filter(pl.col("text").str.strip_chars() != "")
