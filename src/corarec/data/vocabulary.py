"""Raw ids of the source and the numbers that stand for them: given, looked up and given back here.

Numbers are 1.. and 0 is unknown.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import polars as pl

from corarec.types import IntArray


class Vocabulary:
    """The users or the items of a dataset by the ids of its source.

    Parameters
    ----------
    raw_ids
        The raw id of number 1, of number 2 and so on.
    """

    def __init__(self, raw_ids: Sequence[str]) -> None:
        self.raw_ids = raw_ids

    def __len__(self) -> int:
        return len(self.raw_ids)

    def number(self, raw_id: str) -> int:
        """Return the number of a raw id, 0 where there is none."""
        return self._numbers.get(raw_id, 0)

    def numbers(self, raw_ids: Sequence[str]) -> IntArray:
        """Return the number of each raw id, 0 where there is none: [N]."""
        return np.array([self.number(raw_id) for raw_id in raw_ids], dtype=np.int64)

    def raw(self, numbers: IntArray) -> list[str]:
        """Return the raw ids of numbers 1..: [N]."""
        return [self.raw_ids[number - 1] for number in numbers.tolist()]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {raw_id: number for number, raw_id in enumerate(self.raw_ids, start=1)}


def in_short(rows: pl.DataFrame) -> pl.DataFrame:
    """Write the ids of users and items (`user`, `item`) once each and number them in the rows.

    The columns keep their values; they take four bytes a row in place of the texts.
    """
    return rows.with_columns(pl.col("user", "item").cast(pl.Categorical))


def ranked(ids: pl.Series) -> tuple[pl.Series, IntArray]:
    """Return the distinct ids as text, ascending, and the place of each entry among them: [N]."""
    names = ids.unique().cast(pl.String).sort()
    places = pl.DataFrame({"id": names.cast(ids.dtype)}).with_row_index("place")
    found = pl.DataFrame({"id": ids}).join(places, on="id", how="left", maintain_order="left")
    return names, found["place"].to_numpy().astype(np.int64)


def number_users_by_rank(rows: pl.DataFrame) -> pl.DataFrame:
    """Add `user_id`: the rank of the raw id, as a number where all are whole numbers, else as text.

    The rows keep their order.
    """
    users = rows.select("user").unique().with_columns(_text=pl.col("user").cast(pl.String))
    numeric = pl.col("_text").cast(pl.Int64, strict=False)
    by_number = not users.select(numeric.is_null().any()).item()
    users = users.sort([numeric, "_text"] if by_number else "_text").drop("_text")
    return rows.join(
        users.with_row_index("user_id", 1), on="user", how="left", maintain_order="left"
    )


def number_by_appearance(rows: pl.DataFrame, *kinds: str) -> pl.DataFrame:
    """Add `KIND_id` for each of `kinds` (`user`, `item`): 1.. by first appearance."""
    for kind in kinds:
        names = rows.select(kind).unique(maintain_order=True).with_row_index(f"{kind}_id", 1)
        rows = rows.join(names, on=kind, how="left", maintain_order="left")
    return rows
