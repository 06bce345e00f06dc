import numpy as np
import pytest

from corarec.arrays import distinct


@pytest.mark.parametrize(
    "values", [[], [3], [2, 2, 2], [5, -1, 5, 0, 2**62, -(2**63), 0], [[4, 1], [1, 4]]]
)
def test_distinct_are_those_of_numpy(values: list[int]) -> None:
    array = np.array(values, dtype=np.int64)
    assert distinct(array).tolist() == np.unique(array).tolist()
    assert distinct(array).dtype == np.int64
