import numpy as np

from corarec.cf.ranges import chunks, flat


def test_flat_and_chunks() -> None:
    places, owners = flat(np.array([3, 9, 5]), np.array([5, 9, 6]))
    assert places.tolist() == [3, 4, 5]
    assert owners.tolist() == [0, 0, 2]
    parts = chunks(np.array([3, 3, 1, 9, 1]), 5)
    assert np.concatenate(parts).tolist() == [0, 1, 2, 3, 4]
    assert chunks(np.zeros(0, dtype=np.int64), 5) == []
