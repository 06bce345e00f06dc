from collections.abc import Callable

import numpy as np
import pytest
import torch

from corarec.cf.data import FitData
from corarec.cf.factors.binary_mf import BinaryMF, BinaryMFConfig, _BinaryNetwork
from corarec.cf.report import auc
from corarec.types import IntArray, Pairs

OPTIONS = BinaryMFConfig(embedding_size=8, batch_size=32, patience=20, max_epochs=60)


@pytest.fixture(scope="module")
def fitted(checkerboard: FitData) -> BinaryMF:
    model = BinaryMF(OPTIONS)
    model.fit(checkerboard, seed=1)
    return model


def network(data: FitData, annealing: float = 0.25) -> _BinaryNetwork:
    config = OPTIONS.model_copy(update={"annealing": annealing})
    return _BinaryNetwork(data, config, torch.Generator().manual_seed(0))


def test_codes_are_bits_and_score_by_agreement(
    fitted: BinaryMF, held_out: tuple[Pairs, IntArray]
) -> None:
    pairs, labels = held_out
    users, items = fitted.codes(pairs)
    assert set(users.unique().tolist()) == set(items.unique().tolist()) == {-1.0, 1.0}
    agreements = (users == items).sum(dim=1).numpy()
    np.testing.assert_array_equal(fitted.score(pairs), 2 * agreements - 8)
    assert auc(labels, fitted.score(pairs)) > 0.9


def test_signs_take_over_every_second_epoch(checkerboard: FitData) -> None:
    """With probability 0, 0, 0.25, 0.25, 0.5, ... a number is its sign, else its tanh."""
    net = network(checkerboard)
    for epoch, share in ((1, 0), (2, 0), (3, 0.25), (4, 0.25), (5, 0.5), (99, 1)):
        net.begin_epoch(epoch)
        values = torch.linspace(-2, 2, 4001)
        code = net._code(values)
        signs = code.abs() == 1
        assert signs.float().mean().item() == pytest.approx(share, abs=0.03)
        torch.testing.assert_close(code[~signs], values[~signs].tanh())
        assert (code[signs] == torch.where(values[signs] >= 0, 1.0, -1.0)).all()


def test_evaluation_takes_signs_alone_and_zero_is_one(checkerboard: FitData) -> None:
    net = network(checkerboard).eval()
    assert net._code(torch.tensor([-0.1, 0.0, 0.3])).tolist() == [-1, 1, 1]


def test_the_never_trained_share_the_code_of_the_bias(
    checkerboard: FitData, pairs_of: Callable[..., Pairs]
) -> None:
    model = BinaryMF(OPTIONS.model_copy(update={"max_epochs": 2}))
    model.fit(checkerboard, seed=1)
    strangers = pairs_of([0, checkerboard.num_users, 999], [0, checkerboard.num_items, 999])
    users, items = model.codes(strangers)
    assert (users == users[0]).all()
    assert (items == items[0]).all()
    assert set(users.unique().tolist()) <= {-1.0, 1.0}
    table = model.vector_table(strangers)
    assert (table.users == 0).all()
    expected = float((users[0] * items[0]).sum())
    assert model.score(strangers).tolist() == [expected] * 3


def test_codes_of_the_unknown_must_fit(fitted: BinaryMF) -> None:
    tensors = fitted.tensors()
    with pytest.raises(ValueError, match="codes of the unknown"):
        BinaryMF(OPTIONS).restore(tensors | {"unknown": tensors["unknown"][:, :3]})
