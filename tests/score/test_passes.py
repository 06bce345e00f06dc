import numpy as np
import pytest

from corarec.score.passes import PASS_COST, ROWS_AT_LEAST, passes
from corarec.types import IntArray


def tokens(lengths: IntArray, most: int, rows: int, kinds: int | None = None) -> int:
    """Return what the passes cost, and see that they are passes."""
    found = passes(lengths, most, rows, kinds)
    all_rows = np.concatenate([part for part, _ in found])
    assert sorted(all_rows.tolist()) == list(range(len(lengths)))
    for number, (part, width) in enumerate(found):
        assert lengths[part].max() == width
        assert len(part) <= rows
        assert len(part) % ROWS_AT_LEAST == 0 or number == len(found) - 1
        if len(part) > ROWS_AT_LEAST:
            assert len(part) * width <= most
            assert kinds is None or len(np.unique(lengths[part])) <= kinds
    widths = [width for _, width in found]
    assert widths == sorted(widths, reverse=True)
    return sum(len(part) * width + PASS_COST for part, width in found)


def test_a_long_row_does_not_pad_many_others() -> None:
    lengths = np.array([20] * 30 + [200] + [20] * 29)
    found = passes(lengths, 4096, 64)
    assert [(len(rows), width) for rows, width in found] == [(8, 200), (52, 20)]
    assert found[0][0][0] == 30


def test_a_little_padding_is_cheaper_than_another_pass() -> None:
    assert len(passes(np.array([20, 21, 22] * 5), 4096, 64)) == 1


def test_a_pass_holds_so_many_tokens_at_most() -> None:
    assert [len(rows) for rows, _ in passes(np.full(96, 50), 1000, 64)] == [16] * 6
    assert [len(rows) for rows, _ in passes(np.full(12, 50), 10, 64)] == [8, 4]


def test_a_pass_holds_so_many_rows_and_lengths_at_most() -> None:
    assert max(len(rows) for rows, _ in passes(np.full(50, 50), 4096, 16)) == 16
    found = passes(np.repeat(np.arange(10, 18), 8), 4096, 64, most_lengths=4)
    assert [len(rows) for rows, _ in found] == [32, 32]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_few_rows(count: int) -> None:
    found = passes(np.arange(count) + 5, 4096, 64, 2)
    assert [len(rows) for rows, _ in found] == [count] * (count > 0)


def test_many_rows_come_in_few_shapes() -> None:
    """Every new shape makes new kernels, which the libraries keep."""
    rng = np.random.default_rng(0)
    shapes = set()
    for _ in range(20):
        lengths = np.round(rng.gamma(4, 2, 1024)).astype(np.int64) + 18
        shapes |= {(len(rows), width) for rows, width in passes(lengths, 4096, 64)}
    assert len(shapes) < 120


@pytest.mark.parametrize("seed", range(5))
def test_no_cut_at_fixed_sizes_is_cheaper(seed: int) -> None:
    lengths = np.random.default_rng(seed).integers(5, 60, 200)
    least = tokens(lengths, 4096, 64)
    tokens(lengths, 2048, 64, 4)
    in_order = np.sort(lengths)[::-1]
    for size in (8, 16, 32, 64):
        parts = [in_order[first : first + size] for first in range(0, 200, size)]
        assert least <= sum(part.size * part.max() + PASS_COST for part in parts)
