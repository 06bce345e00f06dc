import numpy as np

from corarec.evaluate.metrics import RelevantRanks
from corarec.evaluate.metrics.recall import Recall

# User 0 has relevant items at ranks 1, 3 and 4; user 1 has one at rank 2.
FOUND = RelevantRanks.of(np.array([0, 0, 0, 1]), np.array([1, 3, 4, 2]))
NOBODY = RelevantRanks.of(np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_values_by_hand() -> None:
    assert Recall(1).of(FOUND).tolist() == [1 / 3, 0]
    assert Recall(2).of(FOUND).tolist() == [1 / 3, 1]
    assert Recall(3).of(FOUND).tolist() == [2 / 3, 1]
    assert Recall(9).of(FOUND).tolist() == [1, 1]
    assert Recall(3).name == "recall@3"


def test_without_users_there_are_no_values() -> None:
    assert Recall(2).of(NOBODY).shape == (0,)
