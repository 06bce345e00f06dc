import numpy as np
import pytest
import torch

from corarec.cf.vectors import VectorTable, known_ids
from corarec.errors import DataError


def test_pairs_look_their_vectors_up() -> None:
    table = VectorTable(
        users=torch.tensor([[0.0, 0.0], [1.0, 2.0]]),
        items=torch.tensor([[3.0, 4.0], [5.0, 6.0], [7.0, 8.0]]),
        user_rows=np.array([1, 0, 1]),
        item_rows=np.array([2, 0, 1]),
    )
    assert (len(table), table.vector_size) == (3, 2)
    users, items = table.lookup(np.array([2, 0]))
    assert users.tolist() == [[1.0, 2.0], [1.0, 2.0]]
    assert items.tolist() == [[5.0, 6.0], [7.0, 8.0]]
    nothing, _ = table.lookup(np.array([], dtype=np.int64))
    assert nothing.shape == (0, 2)


def test_ids_beyond_the_table_are_unknown() -> None:
    assert known_ids(np.array([0, 3, 4, 99]), size=4).tolist() == [0, 3, 0, 0]


def test_negative_ids_are_an_error() -> None:
    with pytest.raises(DataError, match="Row 1 has the id -2; ids count from 1"):
        known_ids(np.array([1, -2]), size=4)


def test_no_pairs_are_no_error() -> None:
    assert known_ids(np.zeros(0, dtype=np.int64), size=4).tolist() == []
