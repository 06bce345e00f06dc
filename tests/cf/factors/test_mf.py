from collections.abc import Callable

import numpy as np
import pytest
import torch

from corarec.cf.data import FitData
from corarec.cf.factors.mf import MF, BiasedMF, BiasedMFConfig, MFConfig
from corarec.types import Pairs

PairsOf = Callable[..., Pairs]


@pytest.fixture
def by_hand() -> BiasedMF:
    """One known user (p = 2, b_u = 0.5) and item (q = 3, b_i = 0.25), mean 0.125; id 2 unknown."""
    model = BiasedMF(BiasedMFConfig(embedding_size=1))
    model.restore(
        {
            "users": torch.tensor([[0.0, 0, 0], [2, 0.5, 1], [0, 0, 0]]),
            "items": torch.tensor([[0.0, 0, 0], [3, 1, 0.25], [0, 0, 0]]),
            "mean": torch.tensor([0.125]),
        }
    )
    return model


def test_score_with_biases(by_hand: BiasedMF, pairs_of: PairsOf) -> None:
    pairs = pairs_of([1, 1, 2, 2], [1, 2, 1, 2])
    mean, user, item = 0.125, 0.5, 0.25
    expected = [mean + user + item + 6, mean + user, mean + item, mean]
    np.testing.assert_allclose(by_hand.score(pairs), expected)


def test_exported_vectors_give_the_score_without_the_mean(
    by_hand: BiasedMF, pairs_of: PairsOf
) -> None:
    pairs = pairs_of([1], [1])
    users, items = by_hand.vector_table(pairs).lookup(np.array([0]))
    assert (users * items).sum().item() == pytest.approx(by_hand.score(pairs)[0] - 0.125)
    assert by_hand.vector_size == 3


def test_biases_add_two_numbers_to_the_vector(checkerboard: FitData) -> None:
    plain, biased = MF(MFConfig(embedding_size=4)), BiasedMF(BiasedMFConfig(embedding_size=4))
    plain.fit(checkerboard, seed=0)
    biased.fit(checkerboard, seed=0)
    assert (plain.vector_size, biased.vector_size) == (4, 6)
    known = torch.from_numpy(np.unique(checkerboard.train.user_ids))
    assert set(biased.user_table[known, -1].tolist()) == {1.0}
    known = torch.from_numpy(np.unique(checkerboard.train.item_ids))
    assert set(biased.item_table[known, -2].tolist()) == {1.0}


def test_biases_learn_what_all_users_like(checkerboard: FitData, pairs_of: PairsOf) -> None:
    liked_by_all = (checkerboard.train.item_ids <= 8).astype(np.int64)
    data = FitData(
        checkerboard.train,
        liked_by_all,
        checkerboard.valid,
        (checkerboard.valid.item_ids <= 8).astype(np.int64),
        checkerboard.num_users,
        checkerboard.num_items,
    )
    model = BiasedMF(BiasedMFConfig(embedding_size=1, batch_size=32))
    model.fit(data, seed=0)
    new_user = checkerboard.num_users
    scores = model.score(pairs_of([new_user] * 3, [8, 9, checkerboard.num_items]))
    assert scores[0] > scores[2] > scores[1]


def test_an_untouched_row_stays_zero_under_weight_decay(checkerboard: FitData) -> None:
    model = MF(MFConfig(embedding_size=4, weight_decay=0.1, max_epochs=5))
    model.fit(checkerboard, seed=0)
    assert model.user_table[checkerboard.num_users].tolist() == [0.0] * 4
    assert model.user_table[0].tolist() == [0.0] * 4
