"""Rows from before train, which a split drops and a system in use would know."""

import polars as pl

from corarec.data.raw import RawData
from corarec.data.reading import collect
from corarec.data.sampling import UserSample, kept_users
from corarec.data.splits.base import SplitResult
from corarec.data.storage import EARLIER, SplitType
from corarec.errors import ConfigError


def rows_before_train(
    raw: RawData, result: SplitResult, rule: str, sample: UserSample | None = None
) -> pl.DataFrame:
    """Return the rows of titled items with a time before the first training row's.

    Of a sample of the users, where there is one, as its rows are.

    Labelled as the rule labels its own, in the order of users, then time. Users and items that the
    rule's rows have keep their ids; those that only earlier rows have come after them, users by
    their raw id, items by first appearance.

    Raises
    ------
    ConfigError
        There are none, or the rule does not say from which rating on a row is a positive.
    DataError
        A row lacks an id, a time or a rating.
    """
    train = result.rows.filter(pl.col("split") == "train")
    first = train["timestamp"].min()
    titled = raw.items.lazy().filter(pl.col("title").str.strip_chars() != "").select("item")
    before = raw.interactions.filter(pl.col("timestamp") < first).join(
        titled, on="item", how="semi", maintain_order="left"
    )
    if collect(before.select(pl.len()), raw.interactions_file).item() == 0:
        raise ConfigError(
            f"The split {rule!r} drops no row from before train, so there is nothing to keep. "
            "Leave --keep-earlier out."
        )
    rows = raw.collect(before)
    if sample is not None:
        rows = rows.filter(pl.col("user").is_in(kept_users(rows["user"], sample).implode()))
    if result.implicit:
        rows = rows.with_columns(label=pl.lit(1, pl.Int8))
    elif "label" not in rows.columns:
        if rows["rating"].null_count() == rows.height:
            rows = rows.with_columns(label=pl.lit(1, pl.Int8))
        elif result.threshold is None:
            raise ConfigError(
                f"The split {rule!r} does not say from which rating on a row is a positive "
                "(SplitResult.threshold), so earlier rows cannot be labelled. Leave "
                "--keep-earlier out."
            )
        else:
            rows = rows.with_columns(label=(pl.col("rating") >= result.threshold).cast(pl.Int8))
    rows = _numbered(rows.sort("user", maintain_order=True), result.rows, "user")
    rows = rows.sort("user_id", "timestamp", maintain_order=True)
    rows = _numbered(rows, result.rows, "item")
    return rows.with_columns(split=pl.lit(EARLIER, SplitType))


def _numbered(rows: pl.DataFrame, known: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Add the ids of users or items: those that `known` has, then 1 and more past its largest."""
    ids = known.select(kind, f"{kind}_id").unique(f"{kind}_id")
    ids = ids.select(pl.col(kind).cast(pl.String), pl.col(f"{kind}_id").cast(pl.Int64))
    fresh = (
        rows.select(kind)
        .unique(maintain_order=True)
        .join(ids, on=kind, how="anti", maintain_order="left")
    )
    largest = int(ids[f"{kind}_id"].max())  # type: ignore[arg-type]
    fresh = fresh.with_columns(
        pl.int_range(largest + 1, largest + 1 + fresh.height, dtype=pl.Int64).alias(f"{kind}_id")
    )
    return rows.join(pl.concat([ids, fresh]), on=kind, how="left", maintain_order="left")
