"""CF vectors made elsewhere, read from two Parquet files."""

from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import torch

from corarec.cf.data import FitData
from corarec.cf.report import FitCourse, OnEpoch
from corarec.cf.tables import TableModel
from corarec.data.vocabulary import Vocabulary
from corarec.errors import DataError
from corarec.types import Config, IntArray


class ImportedConfig(Config):
    """Vectors made elsewhere: where they are."""

    users: Path
    """Parquet file with one row per user: `user_id` (the dataset's) or `raw_id` (the source's), and
    the vector column, a list of numbers."""
    items: Path
    """The same for items, with `item_id` or `raw_id`."""
    vector_column: str = "vector"
    """Name of the vector column in both files."""


class Imported(TableModel):
    """Vectors from elsewhere; the score is their dot product, whatever made them.

    A user or item without a row in its file is unknown and has the zero vector. The files are read
    once, in `fit`; a saved model carries its own copy.
    """

    name: ClassVar[str] = "imported"
    config_class: ClassVar[type[Config]] = ImportedConfig

    def __init__(self, config: ImportedConfig) -> None:
        super().__init__(config)
        self._options = config

    @property
    def policies(self) -> tuple[str, ...]:
        """All: what vectors from elsewhere know is for whoever made them to see to."""
        return ("train", "snapshot", "streaming")

    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Read both files.

        Raises
        ------
        DataError
            A file or column is missing, an id is unknown to the dataset or occurs twice, or a
            vector is null, not finite or of another size than the first.
        """
        column = self._options.vector_column
        users = _read(self._options.users, "user_id", column, data.num_users, data.users)
        items = _read(self._options.items, "item_id", column, data.num_items, data.items)
        if users.shape[1] != items.shape[1]:
            raise DataError(
                f"The vectors in {self._options.users} have {users.shape[1]} numbers, those in "
                f"{self._options.items} have {items.shape[1]}. Both must have the same size."
            )
        self.set_tables(users, items)
        return FitCourse()


def _read(
    path: Path, id_column: str, vector_column: str, largest: int, vocabulary: Vocabulary | None
) -> torch.Tensor:
    """Return the vectors of one file by id: [largest + 1, d] float32."""
    try:
        frame = pl.read_parquet(path, glob=False)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist; it should hold the vectors to import.") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(f"{path} cannot be read as a Parquet file ({error}).") from error
    if frame.is_empty():
        raise DataError(f"{path} has no rows, so there are no vectors to import.")
    ids = _ids(frame, path, id_column, largest, vocabulary)
    vectors = _vectors(frame, path, vector_column)
    table = torch.zeros(largest + 1, vectors.shape[1])
    table[torch.from_numpy(ids)] = vectors
    return table


def _ids(
    frame: pl.DataFrame, path: Path, id_column: str, largest: int, vocabulary: Vocabulary | None
) -> IntArray:
    if id_column in frame.columns:
        column, names = id_column, Vocabulary([str(number) for number in range(1, largest + 1)])
    elif "raw_id" in frame.columns:
        if vocabulary is None:
            raise DataError(
                f"{path} names its rows by 'raw_id', but the raw ids are not known here. "
                f"Fit through corarec.cf.fit_cf, or give a column '{id_column}'."
            )
        column, names = "raw_id", vocabulary
    else:
        raise DataError(
            f"{path} has the columns {', '.join(frame.columns)}, but needs '{id_column}' or "
            "'raw_id'."
        )
    seen: dict[int, int] = {}
    for row, value in enumerate(frame[column].cast(pl.String).to_list()):
        number = names.number(value)
        if not number:
            raise DataError(
                f"{path}, column '{column}', row {row}: {value!r} is not in the dataset. Leave out "
                "what the dataset does not have."
            )
        if number in seen:
            raise DataError(
                f"{path}, column '{column}', row {row}: {value!r} was already in row "
                f"{seen[number]}. Keep one vector each."
            )
        seen[number] = row
    return np.fromiter(seen, dtype=np.int64, count=len(seen))


def _vectors(frame: pl.DataFrame, path: Path, column: str) -> torch.Tensor:
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
