import numpy as np

from corarec.data.history import build_histories


def test_a_row_sees_only_the_earlier_positives_of_its_user() -> None:
    users = np.array([1, 1, 1, 2, 2, 3])
    items = np.array([5, 6, 7, 5, 8, 9])
    labels = np.array([1, 0, 1, 1, 1, 0])
    histories = build_histories(users, items, labels)
    assert [histories[n].tolist() for n in range(6)] == [[], [5], [5], [], [5], []]
    assert histories.lengths().tolist() == [0, 1, 1, 0, 1, 0]


def test_no_rows() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert len(build_histories(nothing, nothing, nothing)) == 0
