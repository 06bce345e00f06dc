"""From ratings to labels, and sampled negatives for data that holds positives only."""

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from corarec.arrays import distinct
from corarec.data.raw import RawData
from corarec.data.vocabulary import ranked
from corarec.errors import ConfigError, DataError
from corarec.types import Config, IntArray


class LabelConfig(Config):
    """How rows get their labels."""

    threshold: float | None = None
    """a rating of at least this much is a positive; None: the split rule's own threshold"""
    implicit: bool = False
    """every row is a positive, whatever its rating or label, and the negatives are sampled"""
    negatives: int = Field(default=1, ge=1, le=1_000)
    """sampled negatives per positive, where the data has positives only"""
    seed: int = Field(default=0, ge=0)
    """of the sampled negatives"""

    @model_validator(mode="after")
    def _one_way(self) -> "LabelConfig":
        if self.implicit and self.threshold is not None:
            raise ValueError(
                f"with implicit every row is a positive, so there is no threshold "
                f"({self.threshold:g}); leave out one of the two"
            )
        return self


def label_rows(table: pl.DataFrame, threshold: float) -> tuple[pl.DataFrame, str]:
    """Add the column `label`, and say in words how it was made.

    Labels of the source are kept; else ratings are compared with `threshold`; data without ratings
    has positives only.
    """
    if "label" in table.columns:
        return table, "given by the source"
    if table["rating"].null_count() == table.height:
        return table.with_columns(label=pl.lit(1, pl.Int8)), "every interaction is a positive"
    label = (pl.col("rating") >= threshold).cast(pl.Int8)
    return table.with_columns(label=label), f"positive where the rating is at least {threshold:g}"


def has_positives_only(table: pl.DataFrame) -> bool:
    """Whether nothing in the data says what was not liked."""
    return table["rating"].null_count() == table.height and bool((table["label"] == 1).all())


def add_negatives(table: pl.DataFrame, config: LabelConfig) -> tuple[pl.DataFrame, str]:
    """Put sampled negatives before each positive, and say in words how.

    A negative is an item of the table, drawn uniformly with replacement among those that are no
    positive of the user in any part. It takes the time and the part of its positive and stands
    before it, so that both see the same history.

    Raises
    ------
    DataError
        A user has every item, so that no negative can be drawn.
    """
    user_names, users = ranked(table["user"])
    item_names, items = ranked(table["item"])
    positives = distinct(users * len(item_names) + items)
    _check_room(positives // len(item_names), len(item_names), user_names)
    wanted = np.repeat(users, config.negatives)
    drawn = _draw(wanted, len(item_names), positives, np.random.default_rng(config.seed))
    # Each row stands for its negatives and, after them, for itself.
    size = config.negatives + 1
    is_own = np.arange(size * table.height) % size == config.negatives
    chosen = np.empty(len(is_own), np.int64)
    chosen[is_own], chosen[~is_own] = items, drawn
    own = pl.when(pl.lit(pl.Series(is_own)))
    told = [own.then(name).alias(name) for name in ("rating", "text") if name in table.columns]
    both = table[np.repeat(np.arange(table.height), size)].with_columns(
        item=item_names.cast(table.schema["item"]).gather(chosen),
        label=own.then("label").otherwise(pl.lit(0, pl.Int8)),
    )
    both = both.with_columns(told)
    return both, (
        f"interactions are the positives; {config.negatives} negative"
        f"{'s' * (config.negatives > 1)} per positive drawn uniformly (seed {config.seed}) among "
        "the items that are no positive of the user"
    )


def _check_room(users_of_positives: IntArray, num_items: int, user_names: pl.Series) -> None:
    full = np.flatnonzero(np.bincount(users_of_positives) >= num_items)
    if len(full):
        raise DataError(
            f"User {user_names[int(full[0])]!r} has interacted with all {num_items} items, so no "
            "negative can be drawn. Leave the user out, or give data with ratings or labels."
        )


def _draw(
    users: IntArray, num_items: int, positives: IntArray, generator: np.random.Generator
) -> IntArray:
    """Draw one item per entry of `users` that is not among its `positives` (sorted keys)."""
    drawn = generator.integers(num_items, size=len(users))
    open_places = np.arange(len(users))
    while len(open_places):
        keys = users[open_places] * num_items + drawn[open_places]
        found = np.minimum(np.searchsorted(positives, keys), len(positives) - 1)
        open_places = open_places[positives[found] == keys]
        drawn[open_places] = generator.integers(num_items, size=len(open_places))
    return drawn


def require_default_labels(rule: str, config: LabelConfig, raw: RawData) -> None:
    """Refuse label options for a rule that is exact, and data that it cannot label.

    Raises
    ------
    ConfigError
        An option was given.
    """
    if config != LabelConfig():
        raise ConfigError(
            f"The split {rule!r} reproduces a published one, labels included, so it takes no "
            f"threshold, negatives or seed; leave them out, or use --split temporal for "
            f"{raw.facts.name}."
        )
