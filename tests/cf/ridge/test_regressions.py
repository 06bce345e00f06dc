import pytest
import torch

from corarec.cf.ridge.regressions import RidgeSide


@pytest.fixture
def side() -> RidgeSide:
    """Three regressions of 5, 3 and no rows on two features."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(8, 2, generator=generator, dtype=torch.float64)
    targets = torch.randn(8, generator=generator, dtype=torch.float64)
    ids = torch.tensor([0, 1, 0, 0, 1, 1, 0, 0])
    penalties = torch.tensor([2.0, 0.5], dtype=torch.float64)
    return RidgeSide(ids, torch.arange(8), features, targets, penalties, size=3)


def solve(side: RidgeSide, rows: torch.Tensor) -> torch.Tensor:
    x, t = side.table[rows], side.targets[rows]
    return torch.linalg.solve(x.T @ x + torch.diag(side.penalties), x.T @ t)


def test_by_hand() -> None:
    """One feature, rows (1, 1) and (2, 3), penalty 2: (1 + 6) / (1 + 4 + 2) = 1."""
    features, targets = torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 3.0])
    ids, others = torch.tensor([1, 1]), torch.tensor([0, 1])
    side = RidgeSide(ids, others, features, targets, torch.tensor([2.0]), size=2)
    torch.testing.assert_close(side.coefficients, torch.tensor([[0.0], [1.0]]))
    # Without (2, 3): 1 / (1 + 2).
    left = side.without(torch.tensor([1]), features[1:], targets[1:])
    torch.testing.assert_close(left, torch.tensor([[1 / 3]]))


def test_each_id_has_its_own_regression(side: RidgeSide) -> None:
    for number in (0, 1):
        rows = (side.ids == number).nonzero().flatten()
        torch.testing.assert_close(side.coefficients[number], solve(side, rows))
    assert side.coefficients[2].tolist() == [0.0, 0.0]


def test_leaving_a_row_out_equals_fitting_without_it(side: RidgeSide) -> None:
    left = side.without(side.ids, side.table, side.targets)
    for row in range(8):
        others = ((side.ids == side.ids[row]) & (torch.arange(8) != row)).nonzero().flatten()
        torch.testing.assert_close(left[row], solve(side, others))
