from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corarec.cf.borrowed.imported import Imported, ImportedConfig
from corarec.cf.data import FitData
from corarec.errors import DataError
from corarec.types import Histories, Pairs


@pytest.fixture
def config(tmp_path: Path) -> ImportedConfig:
    """Good files: users by dataset id, items by raw id."""
    users = pl.DataFrame({"user_id": [2, 1], "vector": [[1, 2], [3, 4]]})
    items = pl.DataFrame({"raw_id": ["i3", "i1"], "vector": [[0.5, 0.25], [1.0, 1.0]]})
    config = ImportedConfig(users=tmp_path / "users.parquet", items=tmp_path / "items.parquet")
    users.write_parquet(tmp_path / "users.parquet")
    items.write_parquet(tmp_path / "items.parquet")
    return config


def fail(config: ImportedConfig, data: FitData, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Imported(config).fit(data, seed=0)


def test_vectors_find_their_ids(config: ImportedConfig, checkerboard: FitData) -> None:
    model = Imported(config)
    model.fit(checkerboard, seed=0)
    pairs = Pairs(np.array([1, 2, 3]), np.array([3, 1, 2]), Histories.from_lists([[], [], []]))
    users, items = model.vector_table(pairs).lookup(np.arange(3))
    assert users.tolist() == [[3, 4], [1, 2], [0, 0]]
    assert items.tolist() == [[0.5, 0.25], [1, 1], [0, 0]]
    assert model.score(pairs).tolist() == [2.5, 3.0, 0.0]


def test_the_vector_column_has_a_name(config: ImportedConfig, checkerboard: FitData) -> None:
    for path in filter(None, (config.users, config.items)):
        pl.read_parquet(path).rename({"vector": "emb"}).write_parquet(path)
    fail(config, checkerboard, r"columns user_id, emb, but no vector column 'vector'")
    model = Imported(config.model_copy(update={"vector_column": "emb"}))
    model.fit(checkerboard, seed=0)
    assert model.vector_size == 2


@pytest.mark.parametrize(
    ("users", "message"),
    [
        ({"name": ["a"], "vector": [[1, 2]]}, r"columns name, vector, but needs 'user_id' or"),
        ({"user_id": [1, 31], "vector": [[1, 2], [3, 4]]}, r"'user_id', row 1: '31' is not in the"),
        ({"raw_id": ["u1", "x"], "vector": [[1, 2], [3, 4]]}, r"'raw_id', row 1: 'x' is not in"),
        ({"user_id": [1, None], "vector": [[1, 2], [3, 4]]}, r"'user_id', row 1: None is not in"),
        ({"user_id": [4, 4], "vector": [[1, 2], [3, 4]]}, r"row 1: '4' was already in row 0"),
        ({"user_id": [1, 2], "vector": [[1, 2], [3]]}, r"'vector', row 1: a vector of 1 numbers"),
        ({"user_id": [1, 2], "vector": [[1, 2], None]}, r"'vector', row 1: a vector of 0 numbers"),
        ({"user_id": [1], "vector": [[]]}, r"'vector'"),
        ({"user_id": [1, 2], "vector": [[1, 2], [3, None]]}, r"row 1: the vector has a null"),
        ({"user_id": [1], "vector": [[1.0, float("inf")]]}, r"row 0: the vector has a null"),
        ({"user_id": [1], "vector": ["1 2"]}, r"'vector' holds String, but lists of numbers"),
        (
            {"user_id": [1], "vector": [[1, 2, 3]]},
            r"3 numbers, those in .*items.parquet have 2",
        ),
        ({"user_id": [], "vector": []}, r"users\.parquet has no rows"),
    ],
)
def test_bad_files(
    config: ImportedConfig, checkerboard: FitData, users: dict[str, list[object]], message: str
) -> None:
    assert config.users is not None
    pl.DataFrame(users).write_parquet(config.users)
    fail(config, checkerboard, message)


def test_a_missing_file(config: ImportedConfig, checkerboard: FitData) -> None:
    assert config.items is not None
    config.items.unlink()
    fail(config, checkerboard, r"items\.parquet does not exist")


def test_a_file_of_another_kind(config: ImportedConfig, checkerboard: FitData) -> None:
    assert config.users is not None
    config.users.write_text("user_id,vector\n")
    fail(config, checkerboard, r"users\.parquet cannot be read as a Parquet file")


def test_raw_ids_must_be_known(config: ImportedConfig, checkerboard: FitData) -> None:
    data = FitData(
        checkerboard.train,
        checkerboard.train_labels,
        checkerboard.valid,
        checkerboard.valid_labels,
        checkerboard.num_users,
        checkerboard.num_items,
    )
    fail(config, data, r"items\.parquet names its rows by 'raw_id'.*give a column 'item_id'")


def of_rows(tmp_path: Path, **columns: list[object]) -> ImportedConfig:
    values: dict[str, list[object]] = {
        "row": [7, 2],
        "user_vector": [[1, 2], [3, 4]],
        "item_vector": [[5, 6], [7, 8]],
        **columns,
    }
    pl.DataFrame(values).write_parquet(tmp_path / "rows.parquet")
    return ImportedConfig(rows=tmp_path / "rows.parquet")


def some_rows(*numbers: int) -> Pairs:
    ones = np.ones(len(numbers), dtype=np.int64)
    return Pairs(ones, ones, Histories.from_lists([[]] * len(numbers)), np.array(numbers))


def test_vectors_of_rows_go_before_those_of_ids(
    config: ImportedConfig, checkerboard: FitData, tmp_path: Path
) -> None:
    rows = of_rows(tmp_path, match_vector=[[1, 0, 2], [0, 0, 3]], score=[0.5, -1.5]).rows
    model = Imported(config.model_copy(update={"rows": rows}))
    model.fit(checkerboard, seed=0)
    assert (model.vector_size, model.match_size) == (2, 3)
    model.save(tmp_path / "saved")
    for each in (model, Imported.load(tmp_path / "saved")):
        table = each.vector_table(some_rows(2, 3, 7, 9))
        users, items = table.lookup(np.arange(4))
        assert users.tolist() == [[3, 4], [3, 4], [1, 2], [3, 4]]
        assert items.tolist() == [[7, 8], [1, 1], [5, 6], [1, 1]]
        assert table.matches is not None
        assert table.matches.tolist() == [[0, 0, 3], [0, 0, 0], [1, 0, 2], [0, 0, 0]]
        assert each.score(some_rows(2, 3, 7)).tolist() == [-1.5, 7.0, 0.5]


def test_vectors_of_rows_alone_leave_questions_unknown(
    checkerboard: FitData, tmp_path: Path
) -> None:
    model = Imported(of_rows(tmp_path))
    model.fit(checkerboard, seed=0)
    users, _ = model.vector_table(some_rows(7, 1)).lookup(np.arange(2))
    assert users.tolist() == [[1, 2], [0, 0]]
    asked = Pairs(np.array([1]), np.array([1]), Histories.from_lists([[]]))
    assert model.score(asked).tolist() == [0.0]
    assert model.score(some_rows(7)).tolist() == [17.0]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"row": [1, 1]}, "'row', row 1: 1 is missing, negative or there a second time"),
        ({"row": [1, -1]}, "row 1: -1 is missing"),
        ({"row": ["a", "b"]}, "but needs 'row', a whole number"),
        ({"item_vector": [[1], [2]]}, "user vectors have 2 numbers, the item vectors 1"),
        ({"user_vector": [[1.0, 2.0], [1.0, float("nan")]]}, "'user_vector', row 1"),
        ({"score": [1.0, None]}, "a score is null"),
    ],
)
def test_bad_vectors_of_rows(
    checkerboard: FitData, tmp_path: Path, columns: dict[str, list[object]], message: str
) -> None:
    fail(of_rows(tmp_path, **columns), checkerboard, message)


@pytest.mark.parametrize("given", [{}, {"users": "u.parquet"}])
def test_files_that_do_not_make_vectors(given: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match=r"no file came|one came: give both"):
        ImportedConfig.model_validate(given)
