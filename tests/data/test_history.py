import numpy as np
import pytest

from corarec.data.history import NEVER_OVER, KnowledgePolicy, Timeline
from corarec.errors import ConfigError

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


def test_what_was_drawn_as_a_negative_was_not_seen() -> None:
    timeline = Timeline(USERS, ITEMS, LABELS, num_users=5, met=LABELS == 1)
    assert timeline.seen(1).tolist() == [5, 7]
    assert timeline.seen(4).tolist() == []


def test_no_rows() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    timeline = Timeline(nothing, nothing, nothing, num_users=1)
    assert len(timeline.before_rows(nothing)) == 0
    assert timeline.liked(1).tolist() == timeline.seen(1).tolist() == []


def test_rows_of_one_second_do_not_see_each_other_where_they_must_not() -> None:
    times = np.array([10, 10, 20, 10, 10, 30])
    timeline = Timeline(USERS, ITEMS, np.ones(6, np.int64), 5, times)
    rows = np.arange(6)
    by_order, by_second = (
        timeline.before_rows(rows),
        timeline.before_rows(rows, earlier_seconds=True),
    )
    assert by_order.lengths().tolist() == [0, 1, 2, 0, 1, 0]
    assert by_second.lengths().tolist() == [0, 0, 2, 0, 0, 0]
    assert by_second[2].tolist() == [5, 6]
    nobody = Timeline(USERS, ITEMS, np.zeros(6, np.int64), 5, times)
    disliked = nobody.before_rows(rows, liked=False, earlier_seconds=True)
    assert disliked.lengths().tolist() == [0, 0, 2, 0, 0, 0]


def test_hidden_rows_are_in_no_history_of_a_row_but_known_in_the_end() -> None:
    hidden = np.array([True, False, False, False, False, False])
    timeline = Timeline(USERS, ITEMS, LABELS, 5, hidden=hidden)
    assert timeline.before_rows(np.arange(3)).lengths().tolist() == [0, 0, 0]
    assert timeline.liked(1).tolist() == [5, 7]
    turned = Timeline(USERS, ITEMS, 1 - LABELS, 5, hidden=hidden)
    assert turned.before_rows(np.arange(3), liked=False).lengths().tolist() == [0, 0, 0]


DAY = 86_400
JANUARY_31, FEBRUARY_1 = 30 * DAY, 31 * DAY  # of 1970


def test_what_a_policy_lets_rows_know() -> None:
    times = np.array([5, JANUARY_31, FEBRUARY_1 + 7, FEBRUARY_1 + 7])
    in_train = np.array([True, True, True, False])
    assert KnowledgePolicy().known_until(times, in_train) is None
    snapshot = KnowledgePolicy.model_validate("snapshot").known_until(times, in_train)
    assert snapshot is not None
    assert snapshot.tolist() == [0, 0, FEBRUARY_1, NEVER_OVER]
    days = KnowledgePolicy(policy="snapshot", period=30).known_until(times, in_train)
    assert days is not None
    assert days.tolist() == [0, JANUARY_31, JANUARY_31, NEVER_OVER]
    streaming = KnowledgePolicy.model_validate("streaming").known_until(times, in_train)
    assert streaming is times


def test_the_first_period_of_a_snapshot_is_not_learned_from() -> None:
    times = np.array([5, JANUARY_31, FEBRUARY_1])
    snapshot = KnowledgePolicy(policy="snapshot")
    assert snapshot.to_learn_from(times).tolist() == [False, False, True]
    assert KnowledgePolicy(policy="streaming").to_learn_from(times).all()
    assert snapshot.to_learn_from(times[:0]).tolist() == []


def test_times_before_1970_have_months_too() -> None:
    snapshot = KnowledgePolicy(policy="snapshot")
    assert snapshot.period_start(np.array([-1, -31 * DAY])).tolist() == [-31 * DAY, -31 * DAY]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("yesterday", "'train', 'snapshot' or 'streaming'"),
        ({"policy": "snapshot", "period": 0}, "period"),
    ],
)
def test_policies_that_there_are_not(value: object, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        KnowledgePolicy.parse(value, "the recipe")


def test_what_was_not_liked_is_cut_off_at_the_same_moment(timeline: Timeline) -> None:
    before = timeline.before_rows(np.arange(6), liked=False)
    assert [before[n].tolist() for n in range(6)] == [[], [], [6], [], [], []]
    so_far = timeline.so_far(np.array([1, 4, 3, 0]), liked=False)
    assert [so_far[n].tolist() for n in range(4)] == [[6], [9], [], []]


def test_liked_and_disliked_before_a_row_are_the_rows_before_it() -> None:
    random = np.random.default_rng(0)
    users = np.sort(random.integers(1, 9, 300))
    items, labels = random.integers(1, 40, 300), random.integers(0, 2, 300)
    timeline = Timeline(users, items, labels, num_users=9)
    rows = random.permutation(300)
    liked, disliked = (timeline.before_rows(rows, liked=each) for each in (True, False))
    for n, row in enumerate(rows):
        earlier = (users == users[row]) & (np.arange(300) < row)
        assert liked[n].tolist() == items[earlier & (labels == 1)].tolist()
        assert disliked[n].tolist() == items[earlier & (labels == 0)].tolist()


def test_the_stars_of_a_history_are_those_of_its_rows() -> None:
    stars = np.arange(6, dtype=np.float64)
    timeline = Timeline(USERS, ITEMS, LABELS, num_users=5, stars=stars)
    rows = np.arange(6)
    for liked in (True, False):
        past = timeline.before_rows(rows, liked=liked)
        for row in range(len(rows)):
            earlier = (USERS[row] == USERS) & (rows < row) & (liked == LABELS)
            assert past.stars_of(row).tolist() == stars[earlier].tolist()  # type: ignore[union-attr]
    assert timeline.so_far(np.array([0])).lengths().tolist() == [0]
