import numpy as np
import pytest
import torch

from corarec.cf.vectors import VectorFamily, VectorTable
from corarec.errors import ConfigError
from corarec.recommenders.vectors import VectorInput

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


def matched() -> VectorTable:
    matches = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    return VectorTable(TABLE.users, TABLE.items, TABLE.user_rows, TABLE.item_rows, matches)


def test_what_is_said_of_both_stands_in_equal_parts_beside_the_halves() -> None:
    vectors, table = VectorInput(match_size=3), matched()
    users, items = table.lookup(np.array([2, 2]))
    assert table.matches is not None
    e = vectors(users, items, table.matches[:2])
    assert e.tolist() == [[-3, 1, 1, 2, 0.5, 0, 3, 0], [-3, 1, -1, 0, 0.5, 0, 0, 0]]
    assert e.shape[1] == 2 * vectors.half_size(2)
    vectors.fit_scale(table)
    assert vectors.match_scale == pytest.approx((19 / 9) ** -0.5)
    assert "match_scale" not in VectorInput().state_dict()


def test_dropping_either_half_drops_what_is_said_of_both() -> None:
    torch.manual_seed(0)
    vectors = VectorInput(drop_half=0.5, match_size=2)
    ones = torch.ones(1_000, 1)
    e = vectors(ones, ones, torch.ones(1_000, 2))
    whole = (e[:, 0] == 1) & (e[:, 2] == 1)
    assert torch.equal(e[:, 1] == 1, whole)
    assert torch.equal(e[:, 3] == 1, whole)
    assert 0.4 < whole.float().mean() < 0.6


FAMILIES = (
    VectorFamily("rates", user=(0,), item=(1,)),
    VectorFamily("content", item=(0,), match=(0, 2)),
)


def test_families_are_zeroed_whole_each_for_itself_and_in_training_only() -> None:
    torch.manual_seed(0)
    vectors = VectorInput(match_size=3, drop_families=0.3, families=FAMILIES)
    e = vectors(torch.ones(5_000, 2), torch.ones(5_000, 2), torch.ones(5_000, 3))
    user, item, match = e[:, :2], e[:, 4:6], torch.cat([e[:, 2:4], e[:, 6:7]], dim=1)
    rates, content = user[:, 0], item[:, 0]
    assert torch.equal(item[:, 1], rates)
    assert torch.equal(match[:, 0], content)
    assert torch.equal(match[:, 2], content)
    for family in (rates, content):
        assert family.mean() == pytest.approx(0.7, abs=0.03)
    assert (rates * content).mean() == pytest.approx(0.49, abs=0.03)
    assert (user[:, 1] == 1).all()  # of no family
    assert (match[:, 1] == 1).all()
    vectors.eval()
    assert vectors(*(torch.ones(9, n) for n in (2, 2, 3))).sum() == 9 * 7


def test_vectors_of_one_piece_have_no_family_to_drop() -> None:
    with pytest.raises(ConfigError, match="vectors have none"):
        VectorInput(drop_families=0.1)
    with pytest.raises(ConfigError, match="vectors have 1"):
        VectorInput(drop_families=0.1, families=FAMILIES[:1])
