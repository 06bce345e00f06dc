"""The content of items, and users' taste in it."""

import re

import numpy as np
import polars as pl

from corarec.cf.counting.rows import SMOOTHING, Asked
from corarec.errors import ConfigError
from corarec.types import FloatArray

GENRE_COLUMNS = ("genres", "genre", "categories", "category", "main_category")
MOST_GENRES = 32
YEAR_BINS = 7
PENALTY = 8.0
"""On the weights of a user's taste."""
_YEAR = re.compile(r"\((\d{4})\)\s*$")


def content_of(table: pl.DataFrame | None, column: str | None, num_items: int) -> FloatArray:
    """Return the content of items 0..I: [I + 1, c]; the last column is the year.

    Genres divided by the root of their number, `YEAR_BINS` bins of the year with as many items, and
    the year itself with mean 0 and deviation 1. What is not known is zero.

    Raises
    ------
    ConfigError
        A column of genres was named that is not there.
    """
    if column is not None and (table is None or column not in table.columns):
        there = "no table of items" if table is None else ", ".join(table.columns)
        raise ConfigError(
            f"The option genres of the CF model names the column {column!r}; there is "
            f"{there}. Name one of these, or leave 'content' out of its families."
        )
    if table is None:
        return np.zeros((num_items + 1, 1))
    names = [column] if column is not None else [n for n in GENRE_COLUMNS if n in table.columns]
    genres = _genres(table[names[0]]) if names else np.zeros((table.height, 0))
    years = _years(table)
    known = np.isfinite(years)
    binned, scaled = np.zeros((table.height, YEAR_BINS)), np.zeros(table.height)
    if known.any():
        edges = np.quantile(years[known], np.arange(1, YEAR_BINS) / YEAR_BINS)
        binned[known, np.searchsorted(edges, years[known], side="right")] = 1
        spread = years[known].std()
        scaled[known] = (years[known] - years[known].mean()) / (spread if spread > 0 else 1)
    content = np.concatenate([genres, binned, scaled[:, None]], axis=1)
    return np.concatenate([np.zeros((1, content.shape[1])), content])


def _genres(series: pl.Series) -> FloatArray:
    if series.dtype != pl.List(pl.String):
        series = series.cast(pl.String).fill_null("").str.replace_all(r"[\[\]'\"]", "")
        parting = "|" if series.str.contains("|", literal=True).any() else ","
        series = series.str.split(parting)
    rows = pl.DataFrame({"genre": series}).with_row_index("row").explode("genre").drop_nulls()
    rows = rows.with_columns(pl.col("genre").str.strip_chars()).filter(pl.col("genre") != "")
    rows = rows.unique(maintain_order=True)
    counts = rows.group_by("genre").len().sort("len", "genre", descending=[True, False])
    kept = counts.head(MOST_GENRES)["genre"].sort().to_list()
    rows = rows.filter(pl.col("genre").is_in(kept))
    matrix = np.zeros((len(series), len(kept)))
    places = {genre: place for place, genre in enumerate(kept)}
    matrix[rows["row"].to_numpy(), [places[genre] for genre in rows["genre"].to_list()]] = 1
    return matrix / np.sqrt(np.maximum(matrix.sum(1, keepdims=True), 1))


def _years(table: pl.DataFrame) -> FloatArray:
    """Return the years of the items, from a column `year` or the end of the title; NaN for none."""
    if "year" in table.columns:
        given = table["year"].cast(pl.Float64, strict=False).fill_null(float("nan"))
        return given.to_numpy().copy()
    titles = table["title"].fill_null("").to_list() if "title" in table.columns else []
    found = [_YEAR.search(title) for title in titles]
    years = [float(match[1]) if match else float("nan") for match in found]
    return np.array(years or [float("nan")] * table.height)


def profile(content: FloatArray, item_rows: FloatArray, asked: Asked) -> FloatArray:
    """Return how the content of each item agrees with that of the items liked before: [Q].

    `(c_i - mean c) . (mean liked c - mean c) n / (n + 5)` with the mean over the known rows, whose
    number by item `item_rows: [I + 1]` gives.
    """
    weights = item_rows / max(float(item_rows.sum()), 1.0)
    centred = content - weights @ content
    centred[~content.any(axis=1)] = 0
    liked = mean_of_liked(centred, asked)
    count = asked.histories.lengths()
    agreement = (centred[asked.items] * liked).sum(1)
    return np.asarray(agreement * count / (count + SMOOTHING))


def mean_of_liked(values: FloatArray, asked: Asked) -> FloatArray:
    """Return the mean of `values: [I + 1, c]` over each pair's liked items, 0 for none: [Q, c]."""
    histories = asked.histories
    low = int(histories.start.min()) if len(histories) else 0
    high = int(histories.end.max()) if len(histories) else 0
    items = histories.liked_items[low:high]
    items = np.where(items < len(values), items, 0)
    result = np.empty((len(asked), values.shape[1]))
    count = np.maximum(histories.lengths(), 1)
    for column in range(values.shape[1]):
        sums = np.concatenate([[0.0], np.cumsum(values[items, column])])
        total = sums[histories.end - low] - sums[histories.start - low]
        result[:, column] = total / count
    return result
