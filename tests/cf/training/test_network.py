import numpy as np
import pytest
import torch

from corarec.cf.training.network import start_embedding, zero_embedding


def test_only_seen_rows_are_drawn() -> None:
    embedding = zero_embedding(200, 50)
    seen = np.array([3, 3, *range(100, 200)])
    start_embedding(embedding, seen, std=0.5, generator=torch.Generator().manual_seed(0))
    drawn = embedding.weight.abs().sum(1) > 0
    assert drawn.nonzero().flatten().tolist() == [3, *range(100, 200)]
    assert embedding.weight[seen].std().item() == pytest.approx(0.5, rel=0.05)
    assert embedding.weight.requires_grad
