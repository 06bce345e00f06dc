"""Vectors made elsewhere, read from Parquet files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch

from corarec.errors import DataError
from corarec.types import BoolArray, IntArray, Pairs


@dataclass(frozen=True)
class RowVectors:
    """Vectors of rows."""

    numbers: torch.Tensor
    """[R] of the rows, ascending"""
    users: torch.Tensor
    """[R, d]"""
    items: torch.Tensor
    """[R, d]"""
    matches: torch.Tensor | None
    """[R, p]"""
    scores: torch.Tensor | None
    """[R]"""

    def find(self, pairs: Pairs) -> tuple[BoolArray, IntArray]:
        """Return which pairs are rows with vectors, and where these are: [N] each."""
        if pairs.rows is None:
            return np.zeros(len(pairs), dtype=np.bool_), np.zeros(len(pairs), dtype=np.int64)
        numbers = self.numbers.numpy()
        places = np.minimum(np.searchsorted(numbers, pairs.rows), len(numbers) - 1)
        return numbers[places] == pairs.rows, places


def read_rows(path: Path) -> RowVectors:
    """Read a file of vectors of rows; see `ImportedConfig.rows`.

    Raises
    ------
    DataError
        A column is missing, or a value is none that can be used.
    """
    frame = read_frame(path)
    if "row" not in frame.columns or not frame["row"].dtype.is_integer():
        raise DataError(
            f"{path} has the columns {', '.join(frame.columns)}, but needs 'row', a whole number: "
            "the place of a row in interactions.parquet, from 0."
        )
    wrong = frame.with_row_index("n").filter(
        pl.col("row").is_null() | (pl.col("row") < 0) | ~pl.col("row").is_first_distinct()
    )
    if not wrong.is_empty():
        raise DataError(
            f"{path}, column 'row', row {wrong['n'][0]}: {wrong['row'][0]} is missing, negative or "
            "there a second time. Keep one line for each row of the dataset."
        )
    order = torch.from_numpy(frame["row"].cast(pl.Int64).to_numpy().argsort())
    users, items = (read_vectors(frame, path, f"{half}_vector") for half in ("user", "item"))
    if users.shape[1] != items.shape[1]:
        raise DataError(
            f"{path}: the user vectors have {users.shape[1]} numbers, the item vectors "
            f"{items.shape[1]}. Both must have the same size."
        )
    has_matches = "match_vector" in frame.columns
    scores = None
    if "score" in frame.columns:
        scores = torch.from_numpy(frame["score"].cast(pl.Float64, strict=False).to_numpy().copy())
        if not torch.isfinite(scores).all():
            raise DataError(f"{path}: a score is null, NaN, infinite or no number.")
    matches = read_vectors(frame, path, "match_vector") if has_matches else None
    return RowVectors(
        numbers=torch.from_numpy(frame["row"].cast(pl.Int64).to_numpy().copy())[order],
        users=users[order],
        items=items[order],
        matches=None if matches is None else matches[order],
        scores=None if scores is None else scores[order],
    )


def read_frame(path: Path) -> pl.DataFrame:
    """Read a Parquet file that has rows."""
    try:
        frame = pl.read_parquet(path, glob=False)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; it should hold the vectors to import.") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(f"{path} cannot be read as a Parquet file ({error}).") from error
    if frame.is_empty():
        raise DataError(f"{path} has no rows, so there are no vectors to import.")
    return frame


def read_vectors(frame: pl.DataFrame, path: Path, column: str) -> torch.Tensor:
    """Return a column of vectors of one size: [rows, d] float32."""
    if column not in frame.columns:
        raise DataError(
            f"{path} has the columns {', '.join(frame.columns)}, but no vector column '{column}'. "
            "Name it with the option vector_column."
        )
    series = frame[column]
    inner = getattr(series.dtype, "inner", None)
    if inner is None or not inner.is_numeric():
        raise DataError(
            f"{path}, column '{column}' holds {series.dtype}, but lists of numbers are wanted."
        )
    lists = series.cast(pl.List(pl.Float32))
    sizes = lists.list.len().fill_null(0).to_numpy()
    wrong = np.flatnonzero((sizes != sizes[0]) | (sizes == 0))
    if len(wrong):
        raise DataError(
            f"{path}, column '{column}', row {wrong[0]}: a vector of {sizes[wrong[0]]} numbers, "
            f"where row 0 has {sizes[0]}. All must have the same size, at least 1."
        )
    values = lists.explode().cast(pl.Float32).fill_null(float("nan")).to_numpy()
    vectors = values.reshape(len(sizes), sizes[0])
    broken = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(broken):
        raise DataError(
            f"{path}, column '{column}', row {broken[0]}: the vector has a null, NaN or infinite "
            "number."
        )
    return torch.from_numpy(vectors.copy())
