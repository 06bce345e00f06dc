"""A made-up MovieLens of any size, written in seconds: what `data_speed.py` measures on."""

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

USERS = 200_000
ITEMS = 20_000
DAYS = 2 * 365
START = 1_600_000_000
Layout = Literal["dat", "csv"]


def interactions(
    rows: int, *, users: int = USERS, items: int = ITEMS, seed: int = 0
) -> pl.DataFrame:
    """Make ratings of distinct pairs, in the order of users, then items, as GroupLens has them.

    A user's number of rows is lognormal, an item's popularity falls with one over its rank, a
    rating is what user and item usually give and get, and noise. Times are uniform over two years.

    Returns
    -------
    [N] user, item (numbers from 1), rating (1 to 5), timestamp (UTC seconds)
    """
    random = np.random.default_rng(seed)
    activity = np.cumsum(random.lognormal(sigma=1.0, size=users))
    popularity = np.cumsum(1 / np.arange(1, items + 1))
    numbers = random.permutation(items)
    keys = np.empty(0, np.int64)
    while len(keys) < rows:
        size = 3 * (rows - len(keys)) // 2 + 1_000
        user = np.searchsorted(activity, random.random(size) * activity[-1])
        item = numbers[np.searchsorted(popularity, random.random(size) * popularity[-1])]
        keys = np.union1d(keys, user * items + item)
    keys = np.delete(keys, random.choice(len(keys), len(keys) - rows, replace=False))
    user, item = np.divmod(keys, items)
    user_mean, item_mean = random.normal(size=users) * 0.5, random.normal(size=items) * 0.7
    rating = 3.5 + user_mean[user] + item_mean[item]
    rating += random.standard_normal(rows, dtype=np.float32)
    return pl.DataFrame(
        {
            "user": user + 1,
            "item": item + 1,
            "rating": np.clip(np.rint(rating), 1, 5).astype(np.int8),
            "timestamp": START + random.integers(DAYS * 86_400, size=rows),
        }
    )


def write(table: pl.DataFrame, folder: Path, layout: Layout, items: int = ITEMS) -> None:
    """Write interactions and titles as MovieLens-1M (`dat`) or as MovieLens-20M (`csv`) is."""
    folder.mkdir(parents=True, exist_ok=True)
    movies = pl.DataFrame({"movieId": np.arange(1, items + 1)}).with_columns(
        title=pl.format("Film {} (2020)", "movieId"), genres=pl.lit("Comedy|Drama")
    )
    if layout == "csv":
        names = {"user": "userId", "item": "movieId"}
        table.rename(names).write_csv(folder / "ratings.csv")
        movies.write_csv(folder / "movies.csv")
        return
    _write_dat(table, folder / "ratings.dat")
    _write_dat(movies, folder / "movies.dat")


def _write_dat(table: pl.DataFrame, file: Path) -> None:
    """Write `a::b::c`: columns of nothing between every two."""
    empty = pl.lit(None, pl.String)
    columns: list[pl.Expr] = []
    for name in table.columns:
        columns += [empty.alias(f"before {name}")] * bool(columns) + [pl.col(name)]
    table.select(columns).write_csv(file, separator=":", include_header=False, quote_style="never")
