import numpy as np
import pytest

from corarec.data.history import Timeline

USERS = np.array([1, 1, 1, 3, 3, 4])
ITEMS = np.array([5, 6, 7, 5, 8, 9])
LABELS = np.array([1, 0, 1, 1, 1, 0])


@pytest.fixture
def timeline() -> Timeline:
    return Timeline(USERS, ITEMS, LABELS, num_users=5)


def test_a_row_sees_only_the_earlier_positives_of_its_user(timeline: Timeline) -> None:
    histories = timeline.before_rows(np.arange(6))
    assert [histories[n].tolist() for n in range(6)] == [[], [5], [5], [], [5], []]
    assert histories.lengths().tolist() == [0, 1, 1, 0, 1, 0]
    assert timeline.before_rows(np.array([4, 2]))[0].tolist() == [5]


def test_so_far_is_all_that_was_liked_and_nothing_of_strangers(timeline: Timeline) -> None:
    histories = timeline.so_far(np.array([3, 0, 1, 2, 5, 4]))
    liked = [histories[n].tolist() for n in range(6)]
    assert liked == [[5, 8], [], [5, 7], [], [], []]
    assert timeline.liked(1).tolist() == [5, 7]
    assert timeline.liked_counts().tolist() == [0, 2, 0, 2, 0, 0]


def test_seen_is_whatever_was_touched_liked_or_not(timeline: Timeline) -> None:
    assert timeline.seen(1).tolist() == [5, 6, 7]
    assert timeline.seen(4).tolist() == [9]
    assert timeline.seen(2).tolist() == timeline.seen(5).tolist() == []


def test_no_rows() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    timeline = Timeline(nothing, nothing, nothing, num_users=1)
    assert len(timeline.before_rows(nothing)) == 0
    assert timeline.liked(1).tolist() == timeline.seen(1).tolist() == []
