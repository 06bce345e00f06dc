import numpy as np
import pytest

from corarec.cf.counting.rows import Asked, KnownRows
from corarec.cf.statistics.recent import LAST, NAMES, recent
from corarec.types import Histories, Log

TIMES = [0, 100, 100, 2_000, 90_000]
VALUES = [0.5, -0.25, 1.0, 0.125, -1.0]


@pytest.fixture
def user_rows() -> KnownRows:
    users = np.array([1, 1, 1, 1, 1, 2])
    ones = np.ones(6, dtype=np.int64)
    return KnownRows(Log(users, ones, ones, np.array([*TIMES, 50]), ones.astype(float)), 2, 1)


def values_of(rows: KnownRows, until: list[int], user: int = 1) -> dict[str, list[float]]:
    count = len(until)
    empty = Histories.from_lists([[]] * count)
    asked = Asked(np.full(count, user), np.ones(count, np.int64), np.array(until), empty)
    columns = recent(rows, np.array([*VALUES, 9.0]), asked)
    return dict(zip(NAMES, columns.T.tolist(), strict=True))


def test_the_last_rows_by_hand(user_rows: KnownRows) -> None:
    found = values_of(user_rows, [100, 2_000, 90_001])
    assert len(LAST) == 5
    assert found["last 1 rows"] == [0.5, 1.0, -1.0]
    assert found["last 3 rows"] == pytest.approx([0.5, 1.25 / 3, 0.125 / 3])
    assert found["last 20 rows"] == pytest.approx([0.5, 1.25 / 3, 0.375 / 5])
    assert found["last 30 minutes"] == pytest.approx([0.5 / 4, 0, -1.0 / 4])
    assert found["last day"] == pytest.approx([0.5 / 4, 1.25 / 6, -1.0 / 4])
    weights = 0.93 ** np.array([2, 1, 0])
    fading = (weights * VALUES[:3]).sum() / (weights.sum() + 3)
    assert found["fading"][1] == pytest.approx(fading)


def test_no_row_of_another_user_and_none_of_the_same_second(user_rows: KnownRows) -> None:
    assert all(values == [0.0] for values in values_of(user_rows, [0]).values())
    assert values_of(user_rows, [60], user=2)["last 1 rows"] == [9.0]
    assert values_of(user_rows, [50], user=2)["last 1 rows"] == [0.0]


def test_without_a_moment_it_is_that_of_the_last_row(user_rows: KnownRows) -> None:
    ever = values_of(user_rows, [np.iinfo(np.int64).max])
    after = values_of(user_rows, [90_001])
    assert ever == after
