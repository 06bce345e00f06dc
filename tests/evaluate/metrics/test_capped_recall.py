import numpy as np

from corarec.evaluate.metrics import RelevantRanks
from corarec.evaluate.metrics.capped_recall import CappedRecall

# User 0 has relevant items at ranks 1, 3 and 4; user 1 has one at rank 2.
FOUND = RelevantRanks.of(np.array([0, 0, 0, 1]), np.array([1, 3, 4, 2]))
NOBODY = RelevantRanks.of(np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_values_by_hand() -> None:
    assert CappedRecall(1).of(FOUND).tolist() == [1, 0]
    assert CappedRecall(2).of(FOUND).tolist() == [1 / 2, 1]
    assert CappedRecall(4).of(FOUND).tolist() == [1, 1]


def test_without_users_there_are_no_values() -> None:
    assert CappedRecall(2).of(NOBODY).shape == (0,)
