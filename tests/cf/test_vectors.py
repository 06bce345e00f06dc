import numpy as np
import torch

from corarec.cf.vectors import VectorTable


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
