import numpy as np
import pytest

from corarec.runs.live import rows
from corarec.runs.live.rows import NOTHING, PASSING, Passing


def test_who_names_the_same_is_the_same_person(monkeypatch: pytest.MonkeyPatch) -> None:
    passing, none = Passing(), np.zeros(0, np.int64)
    first = passing.number(np.array([3, 4]), none, 10)
    assert first == PASSING
    assert passing.number(np.array([3, 4]), none, 99) == first
    assert passing.number(none, np.array([3, 4]), 10) == first + 1
    assert passing.rows(first).items.tolist() == [3, 4]
    assert passing.rows(first).times.tolist() == [10, 10]
    assert passing.rows(first + 1).labels.tolist() == [0, 0]
    assert passing.rows(first + 2) is NOTHING


def test_the_latest_people_are_kept_and_no_more_than_so_many_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rows, "MOST_PASSING", 5)
    monkeypatch.setattr(rows, "MOST_ROWS", 12)
    passing, none = Passing(), np.zeros(0, np.int64)
    few = [passing.number(np.array([n]), none, 1) for n in range(8)]
    kept = [bool(len(passing.rows(number).items)) for number in few]
    assert kept == [False] * 3 + [True] * 5
    many = [passing.number(np.arange(n, n + 5), none, 1) for n in range(6)]
    assert [len(passing.rows(number).items) for number in many] == [0, 0, 0, 0, 5, 5]
    assert len(passing._numbers) == len(passing._rows) == 2
