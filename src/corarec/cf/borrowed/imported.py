"""CF vectors made elsewhere, read from Parquet files: of users and items, of rows, or of both."""

from dataclasses import fields
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import polars as pl
import torch
from pydantic import model_validator

from corarec.cf.borrowed.imported_files import RowVectors, read_frame, read_rows, read_vectors
from corarec.cf.data import FitData
from corarec.cf.report import FitCourse, OnEpoch
from corarec.cf.tables import TableModel
from corarec.cf.vectors import VectorTable
from corarec.data.vocabulary import Vocabulary
from corarec.errors import DataError
from corarec.types import Config, FloatArray, IntArray, Pairs


class ImportedConfig(Config):
    """Vectors made elsewhere: where they are."""

    users: Path | None = None
    """Parquet file with one row per user: `user_id` (the dataset's) or `raw_id` (the source's), and
    the vector column, a list of numbers."""
    items: Path | None = None
    """The same for items, with `item_id` or `raw_id`."""
    vector_column: str = "vector"
    """Name of the vector column in both files."""
    rows: Path | None = None
    """Parquet file of vectors that belong to rows of the dataset: `row` (its place in
    `interactions.parquet`, from 0), `user_vector` and `item_vector`; and, if you like,
    `match_vector`, of user and item together, and `score`, a logit. Rows and questions that are not
    in it have the vectors of `users` and `items`, or zeros where these are not given."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.users is None) != (self.items is None):
            raise ValueError("of `users` and `items` one came: give both or neither")
        if self.users is None and self.rows is None:
            raise ValueError("no file came: give `users` and `items`, `rows`, or all three")
        return self


class Imported(TableModel):
    """Vectors from elsewhere; the score is their dot product where none comes with them.

    A user or item without a row in its file is unknown and has the zero vector. The files are read
    once, in `fit`; a saved model carries its own copy.
    """

    _of_rows: RowVectors | None = None

    name: ClassVar[str] = "imported"
    config_class: ClassVar[type[Config]] = ImportedConfig

    def __init__(self, config: ImportedConfig) -> None:
        super().__init__(config)
        self._options = config

    @property
    def match_size(self) -> int:
        """How many numbers the vectors of rows have of user and item together."""
        matches = None if self._of_rows is None else self._of_rows.matches
        return 0 if matches is None else int(matches.shape[1])

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
        options, column = self._options, self._options.vector_column
        self._of_rows = None if options.rows is None else read_rows(options.rows)
        if options.users is None or options.items is None:
            assert self._of_rows is not None  # the config has one or the other
            size = self._of_rows.users.shape[1]
            tables = (torch.zeros(n + 1, size) for n in (data.num_users, data.num_items))
            self.set_tables(*tables)
            return FitCourse()
        users = _read(options.users, "user_id", column, data.num_users, data.users)
        items = _read(options.items, "item_id", column, data.num_items, data.items)
        if users.shape[1] != items.shape[1]:
            raise DataError(
                f"The vectors in {options.users} have {users.shape[1]} numbers, those in "
                f"{options.items} have {items.shape[1]}. Both must have the same size."
            )
        if self._of_rows is not None and self._of_rows.users.shape[1] != users.shape[1]:
            raise DataError(
                f"The vectors in {options.rows} have {self._of_rows.users.shape[1]} numbers, those "
                f"in {options.users} have {users.shape[1]}. All must have the same size."
            )
        self.set_tables(users, items)
        return FitCourse()

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of every pair: of its row where there are such, else of its ids."""
        if self._of_rows is None:
            return super().vector_table(pairs)
        there, places = self._of_rows.find(pairs)
        own, used = np.flatnonzero(there), torch.from_numpy(places[there])
        table = super().vector_table(pairs.take(np.flatnonzero(~there)))
        user_rows, item_rows = (np.empty(len(pairs), dtype=np.int64) for _ in range(2))
        user_rows[~there], item_rows[~there] = table.user_rows, table.item_rows
        user_rows[own] = len(table.users) + np.arange(len(own))
        item_rows[own] = len(table.items) + np.arange(len(own))
        matches = None
        if self._of_rows.matches is not None:
            matches = torch.zeros(len(pairs), self.match_size)
            matches[torch.from_numpy(own)] = self._of_rows.matches[used]
        return VectorTable(
            torch.cat([table.users, self._of_rows.users[used]]),
            torch.cat([table.items, self._of_rows.items[used]]),
            user_rows,
            item_rows,
            matches,
        )

    def score(self, pairs: Pairs) -> FloatArray:
        """Return the scores that came with the rows, else products of the two vectors: [N]."""
        users, items = self.vector_table(pairs).lookup(np.arange(len(pairs)))
        scores: FloatArray = (users * items).sum(1).numpy().astype(np.float64)
        if self._of_rows is not None and self._of_rows.scores is not None:
            there, places = self._of_rows.find(pairs)
            scores[there] = self._of_rows.scores.numpy()[places[there]]
        return scores

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return both tables, and what came with rows."""
        tensors = super().tensors()
        if self._of_rows is None:
            return tensors
        found = {
            f"row.{field.name}": getattr(self._of_rows, field.name)
            for field in fields(self._of_rows)
        }
        return tensors | {name: tensor for name, tensor in found.items() if tensor is not None}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over both tables, and what came with rows."""
        super().restore(tensors)
        self._of_rows = None
        if self._options.rows is not None:
            names = [field.name for field in fields(RowVectors)]
            self._of_rows = RowVectors(*(tensors.get(f"row.{name}") for name in names))  # type: ignore[arg-type]
            if (
                self._of_rows.numbers is None
                or len(
                    {
                        len(t)
                        for t in (self._of_rows.numbers, self._of_rows.users, self._of_rows.items)
                    }
                )
                > 1
            ):
                raise ValueError("the vectors of rows are not as many as the rows")


def _read(
    path: Path, id_column: str, vector_column: str, largest: int, vocabulary: Vocabulary | None
) -> torch.Tensor:
    """Return the vectors of one file by id: [largest + 1, d] float32."""
    frame = read_frame(path)
    ids = _ids(frame, path, id_column, largest, vocabulary)
    vectors = read_vectors(frame, path, vector_column)
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
