"""What tells one dataset from another: digests of its contents, whatever files hold them."""

import hashlib
from collections.abc import Sequence

import numpy as np
import polars as pl

from corarec.data.card import DatasetCard
from corarec.data.storage import INTERACTIONS_SCHEMA, SPLITS, SplitType
from corarec.types import Fingerprint

Texts = pl.Series | Sequence[str]
_FITTED_ON = ["user_id", "item_id", "timestamp", "label"]


def dataset_fingerprint(
    card: DatasetCard,
    interactions: pl.DataFrame,
    items: pl.DataFrame,
    users: pl.DataFrame,
    earlier: pl.DataFrame | None = None,
) -> Fingerprint:
    """Return the digests of a dataset.

    They follow from the values, not from bytes of Parquet, so that another version or compression
    of Parquet changes nothing. Reviews (`texts`) are left out: they are read in training
    only, and nothing that is trained is useless without them.
    """
    fitted = interactions.select(*_FITTED_ON, pl.col("split").cast(SplitType))
    by_split = {
        split: fitted.filter(pl.col("split") == split).drop("split") for split in SPLITS[:2]
    }
    return Fingerprint(
        users=users_digest(users["raw_id"]),
        items=items_digest(items["raw_id"]),
        titles=titles_digest(items["title"], card.item_noun_singular, card.item_noun_plural),
        train=_digest(by_split["train"]),
        valid=_digest(by_split["valid"]),
        interactions=_digest(
            interactions.select(INTERACTIONS_SCHEMA.names()).with_columns(
                # Its place in SPLITS.
                pl.col("split").cast(SplitType).to_physical().cast(pl.Int64)
            )
        ),
        earlier="" if earlier is None else _digest(earlier.select([*_FITTED_ON, "rating"])),
    )


def users_digest(raw_ids: Texts) -> str:
    """Return the digest of the source's ids of users 1..U."""
    return _digest(_texts("raw_id", raw_ids))


def items_digest(raw_ids: Texts) -> str:
    """Return the digest of the source's ids of items 1..I."""
    return _digest(_texts("raw_id", raw_ids))


def titles_digest(titles: Texts, noun: str, nouns: str) -> str:
    """Return the digest of the titles of items 1..I and of what an item is called."""
    return _digest(_texts("title", titles), _texts("nouns", [noun, nouns]))


def _texts(name: str, values: Texts) -> pl.DataFrame:
    return pl.DataFrame({name: pl.Series(values, dtype=pl.String)})


def _digest(*frames: pl.DataFrame) -> str:
    digest = hashlib.sha256()
    for frame in frames:
        for series in frame:
            digest.update(f"{series.name} {len(series)} ".encode())
            for values in _plain(series):
                digest.update(values.tobytes())
    return digest.hexdigest()


def _plain(series: pl.Series) -> list[np.ndarray]:
    """Return the values of a column as little-endian arrays, and which of them are missing."""
    missing = [np.packbits(series.is_null().to_numpy())] if series.null_count() else []
    if series.dtype == pl.String:
        text = series.fill_null("")
        joined = "".join(text.to_list()).encode("utf-8")
        return [_little(text.str.len_bytes()), np.frombuffer(joined, dtype=np.uint8), *missing]
    if series.dtype == pl.Boolean:
        series = series.cast(pl.UInt8)
    return [_little(series.fill_null(0)), *missing]


def _little(series: pl.Series) -> np.ndarray:
    values = series.to_numpy()
    return values.astype(values.dtype.newbyteorder("<"), copy=False)
