import numpy as np
import pytest

from corarec.score.passes import PASS_COST, passes
from corarec.types import IntArray


def tokens(lengths: IntArray, most: int, lengths_of_one: int | None = None) -> int:
    """Return what the passes cost, and see that they are passes."""
    found = passes(lengths, most, most_lengths=lengths_of_one)
    rows = np.concatenate([part for part, _ in found])
    assert sorted(rows.tolist()) == list(range(len(lengths)))
    for part, width in found:
        assert len(part)
        assert lengths[part].max() <= width
        assert len(part) * width <= most or len(part) == 1
        assert lengths_of_one is None or len(np.unique(lengths[part])) <= lengths_of_one
    widths = [width for _, width in found]
    assert widths == sorted(widths, reverse=True)
    return sum(len(part) * width + PASS_COST for part, width in found)


def test_one_long_row_does_not_pad_the_others() -> None:
    lengths = np.array([20] * 30 + [200] + [20] * 30)
    found = passes(lengths, 4096)
    assert [(len(rows), width) for rows, width in found] == [(1, 200), (60, 20)]


def test_a_little_padding_is_cheaper_than_another_pass() -> None:
    assert len(passes(np.array([20, 21, 22] * 5), 4096)) == 1


def test_a_pass_holds_so_many_tokens_at_most() -> None:
    found = passes(np.full(100, 50), 1000)
    assert [len(rows) for rows, _ in found] == [20] * 5
    assert [len(rows) for rows, _ in passes(np.full(3, 50), 10)] == [1, 1, 1]


def test_a_pass_holds_so_many_lengths_and_rows_at_most() -> None:
    found = passes(np.arange(10, 18), 4096, most_lengths=4)
    assert [len(rows) for rows, _ in found] == [4, 4]
    assert [len(rows) for rows, _ in passes(np.full(10, 50), 4096, 4)] == [4, 3, 3]


def test_no_rows() -> None:
    assert passes(np.array([], dtype=np.int64), 4096) == []


@pytest.mark.parametrize("seed", range(5))
def test_no_cut_at_fixed_sizes_is_cheaper(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(5, 60, 200)
    least = tokens(lengths, 2048)
    tokens(lengths, 2048, 4)
    in_order = np.sort(lengths)[::-1]
    for size in (10, 20, 34):
        parts = [in_order[first : first + size] for first in range(0, 200, size)]
        assert least <= sum(part.size * part.max() + PASS_COST for part in parts)
