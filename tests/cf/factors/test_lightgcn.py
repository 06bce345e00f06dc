import numpy as np
import pytest
import torch

from corarec.cf.data import FitData
from corarec.cf.factors.lightgcn import LightGCN, LightGCNConfig, normalised_graph, smoothed


def test_graph_by_hand() -> None:
    # Node 0 likes 2 and 3, node 1 likes 3 (written twice): degrees 2, 1, 1, 2.
    graph = normalised_graph(np.array([0, 0, 1, 1]), np.array([2, 3, 3, 3]), nodes=5).toarray()
    expected = np.zeros((5, 5))
    expected[0, 2] = expected[2, 0] = 1 / np.sqrt(2 * 1)
    expected[0, 3] = expected[3, 0] = 1 / np.sqrt(2 * 2)
    expected[1, 3] = expected[3, 1] = 1 / np.sqrt(1 * 2)
    np.testing.assert_allclose(graph, expected, rtol=1e-6)


def test_gradient_of_the_product_is_that_of_the_dense_one() -> None:
    graph = normalised_graph(np.array([0, 0, 1]), np.array([2, 3, 3]), nodes=4)
    start = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    sparse_in, dense_in = start.clone().requires_grad_(), start.clone().requires_grad_()
    sparse_out = smoothed(graph, sparse_in)
    dense_out = torch.from_numpy(graph.toarray()) @ dense_in
    torch.testing.assert_close(sparse_out, dense_out)
    torch.autograd.backward(sparse_out.square().sum())
    torch.autograd.backward(dense_out.square().sum())
    torch.testing.assert_close(sparse_in.grad, dense_in.grad)


def test_only_positives_join_the_graph(checkerboard: FitData) -> None:
    """A user's smoothed vector lies close to the items of his or her own group."""
    model = LightGCN(LightGCNConfig(embedding_size=8, batch_size=32))
    model.fit(checkerboard, seed=0)
    users, items = model.user_table[1:30], model.item_table[1:24]
    nearness = torch.nn.functional.normalize(users, dim=1) @ items.T
    same = torch.arange(1, 30)[:, None] % 2 == torch.arange(1, 24)[None] % 2
    assert nearness[same].mean() > nearness[~same].mean() + 0.1


def test_size_of_the_vectors_is_checked() -> None:
    model = LightGCN(LightGCNConfig(embedding_size=4))
    with pytest.raises(ValueError, match="vectors of 3 numbers"):
        model.restore({"users": torch.zeros(2, 3), "items": torch.zeros(2, 3)})
