from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from corarec.cf.data import FitData
from corarec.cf.factors.mf import MF, MFConfig
from corarec.cf.report import EpochRecord
from corarec.cf.training.checkpoint import Checkpointer
from corarec.cf.training.network import (
    Inputs,
    PointwiseNetwork,
    predict,
)
from corarec.cf.training.pointwise import PointwiseConfig, fit_pointwise
from corarec.errors import TrainingError
from corarec.types import Pairs

PairsOf = Callable[..., Pairs]


class _Scripted(PointwiseNetwork):
    """Gives the right order after the epochs in `good`, the wrong one after all others."""

    epoch: torch.Tensor

    def __init__(self, good: set[int], train_logit: float = 0.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("epoch", torch.zeros((), dtype=torch.int64))
        self.good = good
        self.train_logit = train_logit
        self.valid_logit = 1.0

    def batcher(self, pairs: Pairs) -> Callable[[torch.Tensor], Inputs]:
        users, items = torch.from_numpy(pairs.user_ids), torch.from_numpy(pairs.item_ids)
        return lambda rows: (users[rows], items[rows])

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        users, items = inputs
        if self.training:
            self.epoch += 1
            return self.weight.expand(len(users)) + self.train_logit
        same = self.valid_logit * (users % 2 == items % 2)
        return same if int(self.epoch) in self.good else -same


def run(
    network: _Scripted, data: FitData, **options: int
) -> tuple[list[EpochRecord], _Scripted, int, int]:
    records: list[EpochRecord] = []
    generator = torch.Generator().manual_seed(0)
    course = fit_pointwise(
        network,
        data,
        PointwiseConfig(**options),
        generator,
        Checkpointer(None, ""),
        records.append,
    )
    return records, network, course.best_epoch, course.epochs


def test_the_best_epoch_is_kept_and_patience_ends_the_fit(checkerboard: FitData) -> None:
    records, network, best_epoch, epochs = run(_Scripted({2}), checkerboard, patience=3)
    assert (best_epoch, epochs) == (2, 5)
    assert int(network.epoch) == 2
    assert [record.valid_auc for record in records] == [0.0, 1.0, 0.0, 0.0, 0.0]
    assert [record.best_valid_auc for record in records] == [0.0, 1.0, 1.0, 1.0, 1.0]
    assert records[0].loss == pytest.approx(np.log(2), abs=1e-6)


def test_max_epochs_ends_the_fit(checkerboard: FitData) -> None:
    _, _, best_epoch, epochs = run(_Scripted({1}), checkerboard, max_epochs=4)
    assert (best_epoch, epochs) == (1, 4)


def test_a_loss_that_is_not_finite_is_an_error(checkerboard: FitData) -> None:
    with pytest.raises(TrainingError, match=r"loss is nan in epoch 1. Lower the learning rate"):
        run(_Scripted({1}, train_logit=np.nan), checkerboard)


def test_a_validation_score_that_is_not_finite_is_an_error(checkerboard: FitData) -> None:
    network = _Scripted({1})
    network.valid_logit = np.nan
    with pytest.raises(TrainingError, match="validation score is not finite after epoch 1"):
        run(network, checkerboard)


def test_prediction_does_not_depend_on_the_batch(checkerboard: FitData) -> None:
    network = _Scripted({0})
    whole = predict(network, checkerboard.valid)
    assert np.array_equal(whole, predict(network, checkerboard.valid, batch_size=7))
    assert not network.training


def test_the_learning_rate_too_high_is_reported(checkerboard: FitData) -> None:
    model = MF(MFConfig(embedding_size=4, learning_rate=1e30))
    with pytest.raises(TrainingError, match=r"now 1e\+30"):
        model.fit(checkerboard, seed=0)


def test_rows_are_shuffled_one_by_one_unless_grouped(pairs_of: PairsOf) -> None:
    network = _Scripted(set())
    assert network.row_groups(pairs_of([4, 4, 4], [1, 2, 3])).tolist() == [0, 1, 2]
