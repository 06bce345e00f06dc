from pathlib import Path

import pytest
import torch
from torch import nn

from corarec.cf.training.checkpoint import Checkpointer
from corarec.cf.training.state import FitState
from corarec.errors import TrainingError


def begun(network: nn.Module, path: Path | None) -> FitState:
    return FitState.begin(
        network,
        torch.Generator().manual_seed(0),
        Checkpointer(path, "the test", every_seconds=0),
        learning_rate=0.5,
        weight_decay=0.0,
    )


def test_a_fit_goes_on_where_it_was_kept_and_ends_with_its_best_weights(tmp_path: Path) -> None:
    path, networks = tmp_path / "fit", [nn.Linear(1, 1, bias=False) for _ in range(2)]
    first = begun(networks[0], path)
    assert first.step(networks[0](torch.ones(1, 1)).sum()) == pytest.approx(
        float(networks[0].weight.detach() + 0.5), abs=1e-6
    )
    first.progress.add(networks[0], 0.7)
    best = networks[0].weight.detach().clone()
    first.keep()
    second = begun(networks[1], path)
    assert torch.equal(networks[1].weight, best)
    assert (second.progress.epoch, second.progress.best_valid_auc) == (1, 0.7)
    second.step(networks[1](torch.ones(1, 1)).sum())
    second.progress.add(networks[1], 0.6)
    assert second.goes_on(max_epochs=3, patience=2)
    assert not second.goes_on(max_epochs=3, patience=1)
    assert not second.goes_on(max_epochs=2, patience=2)
    second.end()
    assert torch.equal(networks[1].weight, best)
    assert not path.exists()


def test_a_loss_that_is_not_finite_moves_nothing() -> None:
    network = nn.Linear(1, 1)
    before = [parameter.clone() for parameter in network.parameters()]
    with pytest.raises(TrainingError, match=r"The loss is nan in epoch 1\. Lower .* \(now 0\.5\)"):
        begun(network, None).step(network(torch.full((1, 1), torch.nan)).sum())
    assert all(map(torch.equal, network.parameters(), before))
