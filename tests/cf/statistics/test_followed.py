"""What is kept between two answers is what would be made anew."""

from typing import Any

import numpy as np
import pytest

from corarec.cf.counting.rows import KnownRows
from corarec.cf.statistics.followed import Followed
from corarec.cf.statistics.neighbours import CoCounts
from corarec.testing import cf_world
from corarec.types import Log

SIZES = cf_world.NUM_USERS, cf_world.NUM_ITEMS
MOMENT = 10**7


@pytest.fixture
def log() -> Log:
    return cf_world.log_of(cf_world.world_rows(), "streaming")


def known(log: Log) -> KnownRows:
    return KnownRows(log, *SIZES)


def with_row(log: Log, user: int, item: int, label: int, time: int) -> Log:
    users, items, labels, times = (np.array([value]) for value in (user, item, label, time))
    return log.joined(Log(users, items, labels, times, np.array([np.nan])))


def fresh(rows: KnownRows) -> CoCounts:
    counts = CoCounts(rows, 20)
    counts.advance(MOMENT)
    return counts


def test_statistics_are_made_once_for_a_log_and_its_sizes(log: Log) -> None:
    followed: Any = Followed()
    made: list[Log] = []

    def make(of: Log) -> Any:
        made.append(of)
        return len(made)

    assert [followed.of(log, SIZES, make) for _ in range(3)] == [1, 1, 1]
    assert followed.of(log, (SIZES[0] + 1, SIZES[1]), make) == 2
    other = with_row(log, 1, 1, 1, 5)
    assert followed.of(other, SIZES, make) == 3
    assert made[2] is other


def test_counts_are_made_anew_only_where_the_past_changed(log: Log) -> None:
    followed = Followed()
    first = followed.counts(known(log), 20, MOMENT)
    later = with_row(log, 3, 4, 1, 2 * MOMENT)
    assert followed.counts(known(later), 20, MOMENT) is first
    earlier = with_row(log, 3, 4, 1, 5)
    second = followed.counts(known(earlier), 20, MOMENT)
    assert second is not first
    np.testing.assert_array_equal(second.liked, fresh(known(earlier)).liked)
    # The same row with the other label is another past, and so is another moment.
    disliked = followed.counts(known(with_row(log, 3, 4, 0, 5)), 20, MOMENT)
    assert disliked is not second
    assert followed.counts(known(with_row(log, 3, 4, 0, 5)), 20, MOMENT + 1) is not disliked


@pytest.mark.parametrize("change", [(1, 2), (2, 1)])
def test_rows_that_swap_their_items_are_another_past(log: Log, change: tuple[int, int]) -> None:
    followed = Followed()
    pairs = [with_row(with_row(log, 1, 1, 1, 5), 2, 2, 1, 5)]
    pairs.append(with_row(with_row(log, 1, change[0], 1, 5), 2, change[1], 1, 5))
    first, second = (followed.counts(known(each), 20, MOMENT) for each in pairs)
    assert (first is second) == (change == (1, 2))
    np.testing.assert_array_equal(second.liked, fresh(known(pairs[1])).liked)
