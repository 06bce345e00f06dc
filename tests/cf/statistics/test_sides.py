import numpy as np

from corarec.cf.counting.rows import Asked
from corarec.cf.statistics.features import Statistic
from corarec.cf.statistics.sides import CLIP, Sides, distinct
from corarec.cf.vectors import VectorFamily
from corarec.types import Histories

SIDES = Sides(
    [
        Statistic("user", "user", "count"),
        Statistic("user", "item", "count"),
        Statistic("content", "item", "year"),
        Statistic("content", "match", "genres"),
    ]
)


def test_each_statistic_stands_in_the_part_of_its_side() -> None:
    asked = Asked(
        users=np.array([1, 1, 2]),
        items=np.array([5, 6, 5]),
        until=np.array([9, 9, 9]),
        histories=Histories.from_lists([[], [], []]),
    )
    values = np.array([[1.0, 2, 3, 4], [1, 5, 6, 7], [8, 2, 3, 9]])
    known = np.array([True, True, False]), np.array([True, True, True])
    table = SIDES.table(asked, values, known, means=np.array([0, 0, 0, -1.0]))
    assert (len(table.users), len(table.items)) == (2, 2)
    users, items = table.lookup(np.arange(3))
    assert users.tolist() == [[1, 0], [1, 0], [0, 0]]
    assert items.tolist() == [[2, 3], [5, 6], [2, 3]]
    assert table.matches is not None
    assert table.matches[:, 0].tolist() == [3, CLIP, CLIP]


def test_families_name_the_places_in_each_part() -> None:
    assert SIDES.families == (
        VectorFamily("user", user=(0,), item=(0,)),
        VectorFamily("content", item=(1,), match=(0,)),
    )


def test_sides_without_statistics_still_have_a_width() -> None:
    assert Sides([]).vector_size == 1


def test_distinct_rows_stand_for_all() -> None:
    first, second = np.array([3, 1, 3, 3]), np.array([0, 0, 0, 2])
    rows, numbers = distinct(first, second)
    assert len(rows) == 3
    assert first[rows][numbers].tolist() == first.tolist()
    assert second[rows][numbers].tolist() == second.tolist()
