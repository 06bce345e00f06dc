import numpy as np

from corarec.cf.feedback import TAKES, WORDS, Feedback, Overlay
from corarec.types import Log


def test_rows_are_new_gone_or_as_they_were_and_stand_by_user() -> None:
    users = np.array([2, 2, 2, 7])
    rows = Log(users, np.arange(4), np.ones(4, np.int64), np.arange(4), np.full(4, np.nan))
    fitted, current = np.array([1, 1, 0, 0], np.bool_), np.array([1, 0, 1, 1], np.bool_)
    feedback = Feedback(np.array([2, 5, 7]), rows, fitted, current, np.zeros(4, np.int64))
    assert feedback.new.tolist() == [False, False, True, True]
    assert feedback.gone.tolist() == [False, True, False, False]
    # Of somebody without rows there are none.
    assert [list(range(4))[each] for each in feedback.ranges()] == [[0, 1, 2], [], [3]]


def test_rows_of_an_overlay_stand_behind_a_table_and_in_place_of_its_own() -> None:
    ids = np.array([0, 1, 3, 4, 5, 9, 1 << 40])
    assert Overlay().places(ids, 5).tolist() == [0, 1, 3, 4, 0, 0, 0]
    overlay = Overlay(np.array([3, 9, 1 << 40]))
    assert overlay.places(ids, 5).tolist() == [0, 1, 5, 4, 0, 6, 7]
    assert overlay.places(np.zeros(0, np.int64), 5).tolist() == []


def test_each_way_to_take_feedback_has_its_words() -> None:
    assert set(WORDS) == set(TAKES)
