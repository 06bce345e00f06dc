"""Against regressions written out by hand."""

import numpy as np
import pytest
import torch

from corarec.cf.ridge.als_factors import Factors
from corarec.errors import DataError

USERS = torch.tensor([1, 1, 2, 2, 2])
ITEMS = torch.tensor([1, 2, 1, 2, 3])
LABELS = torch.tensor([1, 0, 1, 1, 0])
HELD = torch.tensor([[0.0, 0.0], [0.5, 0.2], [-1.0, 0.1], [0.3, -0.4]])
PENALTY, BIAS_PENALTY = 2.0, 0.5


@pytest.fixture
def factors() -> Factors:
    return Factors(USERS, ITEMS, LABELS, HELD, 2, PENALTY, BIAS_PENALTY)


def by_hand(rows: list[int]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Regress `z - b_i` of the rows on `[q, 1]` with the two penalties."""
    rate = LABELS.double().mean().item()
    q, item_bias = HELD[ITEMS[rows]].double().numpy().T
    z = (LABELS[rows].numpy() - rate) / (rate * (1 - rate))
    x = np.stack([q, np.ones(len(rows))], axis=1)
    solved: np.ndarray[tuple[int], np.dtype[np.float64]] = np.linalg.solve(
        x.T @ x + np.diag([PENALTY, BIAS_PENALTY]), x.T @ (z - item_bias)
    )
    return solved


def test_users_are_ridge_regressions_on_the_held_items(factors: Factors) -> None:
    assert factors.rate == pytest.approx(3 / 5)
    np.testing.assert_allclose(factors.user_side.coefficients[1], by_hand([0, 1]), rtol=1e-5)
    np.testing.assert_allclose(factors.user_side.coefficients[2], by_hand([2, 3, 4]), rtol=1e-5)
    assert not factors.user_side.coefficients[0].any()


def test_halves_carry_bias_and_one_where_the_other_side_multiplies_them(factors: Factors) -> None:
    users, items, user_rows, item_rows = factors.halves(
        torch.tensor([2, 2]), torch.tensor([3, 1]), torch.tensor([-1, -1])
    )
    factor, bias = by_hand([2, 3, 4])
    user = users[user_rows[0]].numpy()
    np.testing.assert_allclose(user, [factor, bias, 1.0], rtol=1e-5)
    assert user_rows[0] == user_rows[1]
    item_factor, item_bias = factors.item_side.coefficients[3].numpy()
    np.testing.assert_allclose(items[item_rows[0]], [item_factor, 1.0, item_bias], rtol=1e-5)


def test_a_training_pair_has_a_user_half_without_its_own_row(factors: Factors) -> None:
    users, _, user_rows, _ = factors.halves(torch.tensor([2]), torch.tensor([2]), torch.tensor([1]))
    factor, bias = by_hand([2, 4])
    np.testing.assert_allclose(users[user_rows[0]], [factor, bias, 1.0], rtol=1e-5)


def test_an_item_known_from_the_pair_alone_is_a_stranger_to_it(factors: Factors) -> None:
    _, items, _, item_rows = factors.halves(
        torch.tensor([2, 2]), torch.tensor([3, 3]), torch.tensor([0, -1])
    )
    assert not items[item_rows[0]].any()
    assert items[item_rows[1]].any()


def test_a_pair_that_was_not_trained_on_is_refused(factors: Factors) -> None:
    ids = torch.tensor([1, 1]), torch.tensor([1, 3])
    factors.check_rows(*ids, torch.tensor([1, -1]))
    with pytest.raises(DataError, match=r"Pair 1 \(user 1, item 3\).*label 1"):
        factors.check_rows(*ids, torch.tensor([1, 1]))
    with pytest.raises(DataError, match="Pair 0 .*label 0"):
        factors.check_rows(*ids, torch.tensor([0, -1]))
