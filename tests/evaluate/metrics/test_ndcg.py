import numpy as np

from corarec.evaluate.metrics import RelevantRanks
from corarec.evaluate.metrics.ndcg import Ndcg

# User 0 has relevant items at ranks 1, 3 and 4; user 1 has one at rank 2.
FOUND = RelevantRanks.of(np.array([0, 0, 0, 1]), np.array([1, 3, 4, 2]))
NOBODY = RelevantRanks.of(np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_values_by_hand() -> None:
    second, third, fourth = 1 / np.log2([3, 4, 5])
    assert Ndcg(1).of(FOUND).tolist() == [1, 0]
    best = 1 + second
    np.testing.assert_allclose(Ndcg(2).of(FOUND), [1 / best, second], rtol=1e-15)
    # With three relevant items the best ranking gains no more at K = 4 than at K = 3.
    best += third
    np.testing.assert_allclose(Ndcg(3).of(FOUND), [(1 + third) / best, second], rtol=1e-15)
    np.testing.assert_allclose(Ndcg(4).of(FOUND), [(1 + third + fourth) / best, second], rtol=1e-15)


def test_without_users_there_are_no_values() -> None:
    assert Ndcg(2).of(NOBODY).shape == (0,)
