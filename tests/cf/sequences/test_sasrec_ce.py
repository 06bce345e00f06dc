from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from corarec.cf.data import FitData
from corarec.cf.report import EpochRecord
from corarec.cf.sequences.network import SASRecNetwork
from corarec.cf.sequences.sasrec_ce import (
    SASRecCE,
    SASRecCEConfig,
    next_item_loss,
    training_sequences,
)
from corarec.cf.training.checkpoint import Checkpointer
from corarec.errors import DataError
from corarec.types import Pairs

PairsOf = Callable[..., Pairs]


@pytest.fixture
def data(pairs_of: PairsOf) -> FitData:
    """User 1 liked 5, 2, 3, 4 and 1 in this order, user 2 only 2, user 3 liked 4, then 3."""
    users, items = [1, 1, 1, 1, 1, 1, 2, 3, 3], [2, 5, 3, 4, 5, 1, 2, 3, 4]
    times = np.array([20, 10, 30, 40, 45, 50, 1, 9, 8])
    labels = np.array([1, 1, 1, 1, 0, 1, 1, 1, 1])
    train = replace(pairs_of(users, items), times=times)
    valid = pairs_of([1, 3], [2, 5], [[5], [4]])
    return FitData(train, labels, valid, np.array([0, 1]), 3, 6)


def test_every_like_but_a_users_first_comes_next_once(data: FitData) -> None:
    inputs, targets = training_sequences(data, 3)
    assert inputs.tolist() == [[2, 3, 4], [0, 0, 5], [0, 0, 4]]
    assert targets.tolist() == [[3, 4, 1], [0, 0, 2], [0, 0, 3]]
    whole, following = training_sequences(data, 6)
    assert whole.tolist() == [[0, 0, 5, 2, 3, 4], [0, 0, 0, 0, 0, 4]]
    assert following.tolist() == [[0, 0, 2, 3, 4, 1], [0, 0, 0, 0, 0, 3]]


def test_the_loss_is_the_cross_entropy_over_the_items_of_train(data: FitData) -> None:
    network = SASRecNetwork(6, 4, 6, 2, 1, 0.0)
    network.start(data.train, torch.Generator().manual_seed(0))
    inputs, targets = training_sequences(data, 6)
    loss, count = next_item_loss(network.eval(), inputs, targets)
    assert count == 5
    # Item 6 is in no row; position by position, each beginning is cut at its own end.
    logits = network.encode_all(inputs)[:, -4:] @ network.items.weight[1:6].T
    chances = logits.log_softmax(2)
    by_hand = [
        -chances[row, place, item - 1]
        for row, following in enumerate(targets[:, -4:].tolist())
        for place, item in enumerate(following)
        if item
    ]
    torch.testing.assert_close(loss, torch.stack(by_hand).mean())


def test_the_last_of_all_positions_is_what_is_encoded_alone(data: FitData) -> None:
    network = SASRecNetwork(6, 4, 6, 2, 2, 0.0)
    network.start(data.train, torch.Generator().manual_seed(0))
    sequences = torch.tensor([[0, 0, 5, 2, 3, 4], [0, 0, 0, 0, 0, 4]])
    network.eval()
    torch.testing.assert_close(network.encode_all(sequences)[:, -1], network.encode(sequences))


def test_no_position_looks_ahead(data: FitData) -> None:
    network = SASRecNetwork(6, 4, 4, 2, 1, 0.0)
    network.start(data.train, torch.Generator().manual_seed(0))
    one, other = (network.eval().encode_all(torch.tensor([[5, 2, 3, last]])) for last in (4, 1))
    torch.testing.assert_close(one[:, :3], other[:, :3])
    assert not torch.allclose(one[:, 3], other[:, 3])


def test_epochs_are_told_and_the_likeliest_is_kept(checkerboard: FitData) -> None:
    records: list[EpochRecord] = []
    model = SASRecCE(SASRecCEConfig(embedding_size=8, learning_rate=0.02, patience=3))
    report = model.fit(checkerboard, 0, on_epoch=records.append)
    assert len(records) == report.epochs == report.best_epoch + 3
    assert records[report.best_epoch - 1].loss < records[0].loss
    assert records[-1].best_valid_auc == records[report.best_epoch - 1].valid_auc


def test_without_two_likes_of_anybody_there_is_nothing_to_learn(data: FitData) -> None:
    labels = np.array([1, 0, 0, 0, 0, 0, 1, 1, 0])
    with pytest.raises(DataError, match="No user of the 3 likes in train has two of them"):
        SASRecCE(SASRecCEConfig()).fit(replace(data, train_labels=labels), 0)


def test_a_killed_fit_goes_on_to_the_same_weights_and_tells_the_same(
    data: FitData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(Exception):
        pass

    monkeypatch.setattr(Checkpointer.__init__, "__defaults__", (0.0,))
    options = SASRecCEConfig(embedding_size=4, max_length=6, max_epochs=6, patience=9)
    whole, resumed = SASRecCE(options), SASRecCE(options)
    told: list[EpochRecord] = []
    whole.fit(data, seed=3, on_epoch=told.append)

    def kill(record: EpochRecord) -> None:
        if record.epoch == 4:
            raise KilledError

    path = tmp_path / "fit.pt"
    with pytest.raises(KilledError):
        SASRecCE(options).fit(data, seed=3, checkpoint=path, on_epoch=kill)
    again: list[EpochRecord] = []
    resumed.fit(data, seed=3, checkpoint=path, on_epoch=again.append)
    assert again == told[3:]
    assert len(again) == 3
    for key, tensor in whole.tensors().items():
        assert torch.equal(resumed.tensors()[key], tensor), key
    assert not path.exists()
