from typing import Any

import numpy as np
import pytest
import torch

from corarec.cf.data import FitData
from corarec.cf.factors import lightgcn
from corarec.cf.factors.lightgcn import (
    LightGCN,
    LightGCNConfig,
    _LightGCNNetwork,
    normalised_graph,
    product,
    smoothed,
)
from corarec.cf.training.network import predict


def test_graph_by_hand() -> None:
    # Node 0 likes 2 and 3, node 1 likes 3 (written twice): degrees 2, 1, 1, 2.
    graph = normalised_graph(np.array([0, 0, 1, 1]), np.array([2, 3, 3, 3]), nodes=5).toarray()
    expected = np.zeros((5, 5))
    expected[0, 2] = expected[2, 0] = 1 / np.sqrt(2 * 1)
    expected[0, 3] = expected[3, 0] = 1 / np.sqrt(2 * 2)
    expected[1, 3] = expected[3, 1] = 1 / np.sqrt(1 * 2)
    np.testing.assert_allclose(graph, expected, rtol=1e-6)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_some_nodes_smoothed_are_those_of_all_with_the_same_gradient(layers: int) -> None:
    random = np.random.default_rng(0)
    graph = normalised_graph(random.integers(0, 20, 60), random.integers(20, 35, 60), nodes=36)
    start = torch.randn(36, 3, generator=torch.Generator().manual_seed(0))
    nodes = torch.tensor([0, 4, 19, 21, 34, 35])
    here, there = start.clone().requires_grad_(), start.clone().requires_grad_()
    some = smoothed(graph, here, nodes, layers)
    dense = torch.from_numpy(graph.toarray())
    every = torch.stack([torch.matrix_power(dense, n) @ there for n in range(layers + 1)]).mean(0)
    torch.testing.assert_close(some, every[nodes])
    torch.autograd.backward(some.square().sum())
    torch.autograd.backward(every[nodes].square().sum())
    torch.testing.assert_close(here.grad, there.grad)


def test_pairs_are_scored_by_one_smoothing_however_many_they_are(
    checkerboard: FitData, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = LightGCNConfig(embedding_size=4, layers=2)
    network = _LightGCNNetwork(checkerboard, config, torch.Generator().manual_seed(0))
    products = []

    def counted(matrix: Any, x: torch.Tensor) -> torch.Tensor:
        products.append(matrix.shape)
        return product(matrix, x)

    monkeypatch.setattr(lightgcn, "product", counted)
    scores = predict(network, checkerboard.train, batch_size=5)
    assert len(products) == config.layers
    rows = network.batcher(checkerboard.train)(torch.arange(len(checkerboard.train)))
    assert np.array_equal(scores, network(*rows).detach().numpy())


def test_an_epoch_of_many_rows_has_no_more_steps() -> None:
    config = LightGCNConfig()
    assert config.rows_of_step(33_891) == config.batch_size
    assert [config.rows_of_step(rows) * config.most_steps for rows in (10**6, 16 * 10**6)] == [
        10**6,
        16 * 10**6,
    ]


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
