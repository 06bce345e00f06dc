import numpy as np
import pytest
import torch

from corarec.recommenders.vectors import VectorInput, shuffle_users
from corarec.types import VectorTable

TABLE = VectorTable(
    users=torch.tensor([[0.0, 0.0], [3.0, 1.0], [-3.0, 1.0]]),
    items=torch.tensor([[0.0, 0.0], [0.5, 0.0]]),
    user_rows=np.array([0, 1, 2]),
    item_rows=np.array([1, 0, 1]),
)


def test_each_half_is_divided_by_its_root_mean_square_over_known_vectors() -> None:
    vectors = VectorInput()
    vectors.fit_scale(TABLE)
    e = vectors(*TABLE.lookup(np.array([0, 1, 2])))
    rms = 5**0.5  # of 3, 1, -3, 1
    assert e.tolist() == [
        pytest.approx([0, 0, 2**0.5, 0]),
        pytest.approx([3 / rms, 1 / rms, 0, 0]),
        pytest.approx([-3 / rms, 1 / rms, 2**0.5, 0]),
    ]


def test_products_stand_in_both_halves_and_vanish_with_either() -> None:
    vectors = VectorInput(product=True)
    e = vectors(torch.tensor([[2.0, 3.0], [2.0, 3.0]]), torch.tensor([[5.0, 7.0], [0.0, 0.0]]))
    assert e.tolist() == [[2, 3, 10, 21, 5, 7, 10, 21], [2, 3, 0, 0, 0, 0, 0, 0]]
    assert vectors.half_size(2) == 4
    vectors.fit_scale(TABLE)
    known = vectors(*TABLE.lookup(np.array([2])))[0, 2:4]
    assert known.square().mean().sqrt() == pytest.approx(1)


def test_nothing_known_leaves_the_scale_alone() -> None:
    vectors = VectorInput()
    zeros = torch.zeros(2, 3)
    vectors.fit_scale(VectorTable(zeros, zeros, np.array([0]), np.array([1])))
    assert vectors.user_scale == 1


def test_unfitted_it_only_concatenates() -> None:
    e = VectorInput()(*TABLE.lookup(np.array([2])))
    assert e.tolist() == [[-3.0, 1.0, 0.5, 0.0]]


def test_halves_are_dropped_in_training_only_and_never_both_of_a_pair() -> None:
    torch.manual_seed(0)
    vectors = VectorInput(drop_half=0.4)
    ones = torch.ones(10_000, 1)
    e = vectors(ones, ones)
    user_gone, item_gone = (e[:, 0] == 0), (e[:, 1] == 0)
    assert not (user_gone & item_gone).any()
    assert user_gone.float().mean() == pytest.approx(0.2, abs=0.02)
    assert item_gone.float().mean() == pytest.approx(0.2, abs=0.02)
    vectors.eval()
    assert (vectors(ones, ones) == 1).all()


def test_shuffling_moves_known_users_only_and_the_same_way_each_time() -> None:
    users = torch.cat([torch.zeros(1, 1), torch.arange(1.0, 50.0)[:, None]])
    table = VectorTable(users, users, np.arange(50), np.arange(50))
    shuffled = shuffle_users(table, seed=1)
    assert shuffled.users[0] == 0
    assert sorted(shuffled.users.flatten().tolist()) == list(range(50))
    assert (shuffled.users != users).sum() > 40
    assert torch.equal(shuffled.users, shuffle_users(table, seed=1).users)
    assert shuffled.items is users
