import numpy as np

from corarec.evaluate.metrics import RelevantRanks, ranking_metrics


def test_users_are_numbered_in_their_order_with_what_they_have() -> None:
    found = RelevantRanks.of(np.array([7, 3, 7, 7]), np.array([4, 2, 1, 9]))
    assert found.users.tolist() == [1, 0, 1, 1]
    assert found.relevant.tolist() == [1, 3]
    assert found.hits(4).tolist() == [1, 2]
    assert found.reachable(2).tolist() == [1, 2]
    assert found.summed(np.array([1.0, 2.0, 4.0, 8.0])).tolist() == [2, 13]


def test_a_perfect_ranking_has_perfect_metrics() -> None:
    found = RelevantRanks.of(np.zeros(3, np.int64), np.array([1, 2, 3]))
    values = {metric.name: metric.of(found).tolist() for metric in ranking_metrics((2, 3))}
    assert values.pop("recall@2") == [2 / 3]
    assert list(values.values()) == [[1.0]] * len(values)
