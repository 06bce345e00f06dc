import numpy as np
import pytest

from corarec.cf.counting.rows import Asked, KnownRows
from corarec.types import Log


def before(rows: KnownRows, until: int) -> np.ndarray:
    return rows.times < until


def test_sums_over_a_past_are_those_of_the_rows_with_an_earlier_time(
    rows: KnownRows, asked: Asked
) -> None:
    ranks = rows.rank(asked.until)
    likes = rows.of_items.sums(rows.labels, asked.items, ranks)
    count = rows.of_users.counts(asked.users, ranks)
    for n in range(len(asked)):
        known = before(rows, asked.until[n])
        assert likes[n] == rows.labels[known & (rows.items == asked.items[n])].sum()
        assert count[n] == (known & (rows.users == asked.users[n])).sum()


def test_ranges_hold_the_known_rows_of_each_user(rows: KnownRows, asked: Asked) -> None:
    starts, ends = rows.ranges(asked.users, asked.until)
    for n in range(len(asked)):
        wanted = np.flatnonzero(before(rows, asked.until[n]) & (rows.users == asked.users[n]))
        assert list(range(starts[n], ends[n])) == wanted.tolist()


def test_running_residuals_are_of_what_was_known_before_each_row(rows: KnownRows) -> None:
    def rate(item: int, time: int) -> float:
        known = rows.times < time
        mean = (rows.labels[known].sum() + 2.5) / (known.sum() + 5)
        own = known & (rows.items == item)
        return float((rows.labels[own].sum() + 5 * mean) / (own.sum() + 5))

    first = [
        label - rate(item, time)
        for label, item, time in zip(rows.labels, rows.items, rows.times, strict=True)
    ]
    np.testing.assert_allclose(rows.running.first, first, atol=1e-12)
    for n in range(len(rows)):
        own = (rows.times < rows.times[n]) & (rows.users == rows.users[n])
        bias = np.array(first)[own].sum() / (own.sum() + 5)
        assert rows.running.second[n] == pytest.approx(first[n] - bias)


def test_tables_of_a_moment(rows: KnownRows) -> None:
    tables = rows.tables(20)
    known = rows.times < 20
    mean = (rows.labels[known].sum() + 2.5) / (known.sum() + 5)
    assert tables.mean == pytest.approx(mean)
    item = int(rows.items[known][0])
    own = known & (rows.items == item)
    rate = (rows.labels[own].sum() + 5 * mean) / (own.sum() + 5)
    assert tables.item_rates[item] == pytest.approx(rate)
    left = rows.labels - tables.item_rates[rows.items]
    user = int(rows.users[known][0])
    own = known & (rows.users == user)
    assert tables.user_residuals[user] == pytest.approx(left[own].sum() / (own.sum() + 5))
    second = left - tables.user_residuals[rows.users]
    np.testing.assert_allclose(tables.residuals[known], second[known])
    own = known & (rows.items == item)
    assert tables.item_residuals[item] == pytest.approx(second[own].sum() / (own.sum() + 5))


def test_nothing_is_known_before_the_first_row(rows: KnownRows) -> None:
    tables = rows.tables(0)
    assert tables.mean == 0.5
    assert tables.item_rows.sum() == tables.user_rows.sum() == 0
    assert (tables.item_rates == 0.5).all()


def test_a_log_without_rows() -> None:
    none = np.zeros(0, dtype=np.int64)
    rows = KnownRows(Log(none, none, none, none, none.astype(float)), 2, 2)
    starts, ends = rows.ranges(np.array([0, 1, 2]), np.array([0, 5, 9]))
    assert starts.tolist() == ends.tolist() == [0, 0, 0]
    assert rows.tables(5).mean == 0.5
