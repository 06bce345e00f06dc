"""A sample of the users of a prepared dataset, for studies that need not take all of them."""

import hashlib
from dataclasses import replace

import polars as pl
from pydantic import Field

from corarec.data.splits.base import SplitResult
from corarec.errors import DataError
from corarec.types import Config

_DIGITS = 16


class UserSample(Config):
    """Which users are kept."""

    share: float = Field(gt=0, le=1)
    """about this share of the users; each is in or out by a digest of seed and id, so that a user
    of a small sample is in every larger one of the same seed, in any dataset with the same ids"""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """of the digest"""


def sample_users(result: SplitResult, sample: UserSample) -> SplitResult:
    """Keep the rows of a sample of the users, in whatever parts and order they are.

    Users and items that are left keep their order and are numbered from 1 again. Which rows are
    warm is told by what is left of train.

    Raises
    ------
    DataError
        Nobody is left.
    """
    users = result.rows["user"].unique(maintain_order=True)
    kept = kept_users(users, sample)
    if kept.is_empty():
        raise DataError(
            f"A sample of {sample.share:g} of {len(users):,} users (seed {sample.seed}) has nobody "
            "in it. Raise --sample-users."
        )
    rows = result.rows.filter(pl.col("user").is_in(kept.implode()))
    rows = rows.with_columns(
        pl.col(name).rank("dense").cast(result.rows.schema[name]) for name in ("user_id", "item_id")
    )
    note = (
        f"a sample of the users ({sample.share:g}, seed {sample.seed}): {len(kept):,} of "
        f"{len(users):,} users with {rows.height:,} of {result.rows.height:,} rows"
    )
    return replace(result, rows=rows, notes=(*result.notes, note))


def kept_users(users: pl.Series, sample: UserSample) -> pl.Series:
    """Return those of the users (raw ids) who are in the sample, each once."""
    distinct = users.unique(maintain_order=True)
    kept = [user for user in distinct.to_list() if _draw(str(user), sample.seed) < sample.share]
    return pl.Series(users.name, kept, dtype=users.dtype)


def _draw(user: str, seed: int) -> float:
    """Return a number from 0 to 1 that follows from seed and user alone."""
    digest = hashlib.sha256(f"{seed}:{user}".encode("utf-8", "surrogatepass")).hexdigest()
    return int(digest[:_DIGITS], 16) / 16**_DIGITS
