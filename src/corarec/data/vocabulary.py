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


def number_users_by_rank(rows: pl.DataFrame) -> pl.DataFrame:
    """Add `user_id`: the rank of the raw id, as a number where all are whole numbers, else as text.

    The rows keep their order.
    """
    users = rows.select("user").unique()
    numeric = pl.col("user").cast(pl.Int64, strict=False)
    by_number = not users.select(numeric.is_null().any()).item()
    users = users.sort([numeric, "user"] if by_number else "user")
    return rows.join(
        users.with_row_index("user_id", 1), on="user", how="left", maintain_order="left"
    )


def number_by_appearance(rows: pl.DataFrame, *kinds: str) -> pl.DataFrame:
    """Add `KIND_id` for each of `kinds` (`user`, `item`): 1.. by first appearance."""
    for kind in kinds:
        names = rows.select(kind).unique(maintain_order=True).with_row_index(f"{kind}_id", 1)
        rows = rows.join(names, on=kind, how="left", maintain_order="left")
    return rows
