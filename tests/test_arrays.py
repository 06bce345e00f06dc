import numpy as np
import pytest

from corarec.arrays import among, distinct, distinct_rows


@pytest.mark.parametrize(
    "values", [[], [3], [2, 2, 2], [5, -1, 5, 0, 2**62, -(2**63), 0], [[4, 1], [1, 4]]]
)
def test_distinct_are_those_of_numpy(values: list[int]) -> None:
    array = np.array(values, dtype=np.int64)
    assert distinct(array).tolist() == np.unique(array).tolist()
    assert distinct(array).dtype == np.int64


@pytest.mark.parametrize(
    ("rows", "columns", "largest"),
    [(0, 3, 5), (1, 1, 0), (500, 4, 3), (300, 25, 2), (40, 3, 2**40)],
)
def test_distinct_rows_are_those_of_numpy(rows: int, columns: int, largest: int) -> None:
    table = np.random.default_rng(rows).integers(0, largest + 1, size=(rows, columns))
    table[rows // 2 :] = table[: rows - rows // 2]
    found, places = distinct_rows(table)
    wanted, inverse = np.unique(table, axis=0, return_inverse=True)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(places, inverse.reshape(-1))


@pytest.mark.parametrize("known", [[], [3], [7, -1, 7, 4]])
def test_what_is_among_others_is_what_numpy_finds(known: list[int]) -> None:
    values = np.array([3, 7, 0, -1, 9, 3], dtype=np.int64)
    wanted = np.isin(values, np.array(known, dtype=np.int64))
    assert among(values, np.array(known, dtype=np.int64)).tolist() == wanted.tolist()
