from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corarec.errors import DataError
from corarec.evaluate.rows import all_parts, check_same_rows, checked_seeds
from corarec.types import ScoreTable

MakeTable = Callable[..., ScoreTable]


@pytest.fixture
def table(make_table: MakeTable) -> ScoreTable:
    return make_table([1, 1, 2], [1, 0, 1], [0.3, 0.2, 0.1], warm=[True, False, True])


def test_one_table_is_one_seed(table: ScoreTable) -> None:
    assert checked_seeds(table, "A") == [table]
    other = replace(table, scores=table.scores + 1)
    assert checked_seeds((table, other), "A") == [table, other]


def test_what_cannot_be_evaluated_is_named(table: ScoreTable) -> None:
    with pytest.raises(DataError, match="no scores of A"):
        checked_seeds([], "A")
    with pytest.raises(DataError, match="no scores of A"):
        checked_seeds(table.take(np.zeros(3, bool)), "A")
    with pytest.raises(DataError, match="All 2 rows of A have the label 1"):
        checked_seeds(table.take(np.array([0, 2])), "A")
    broken = replace(table, scores=np.array([0.1, np.nan, 0.2]))
    with pytest.raises(DataError, match="A, table 1 .*first is row 1"):
        checked_seeds([table, broken], "A")


@pytest.mark.parametrize("column", ["user_ids", "item_ids", "labels", "warm"])
def test_every_column_but_the_scores_must_agree(table: ScoreTable, column: str) -> None:
    values = getattr(table, column).copy()
    values[2] = not values[2] if values.dtype == np.bool_ else 1 - values[2]
    with pytest.raises(DataError, match=f"A and B differ in {column} at row 2"):
        check_same_rows(table, replace(table, **{column: values}), "A", "B")
    check_same_rows(table, replace(table, scores=-table.scores), "A", "B")


def test_parts_are_warm_and_cold_unless_given_and_all_comes_first(table: ScoreTable) -> None:
    assert list(all_parts(table, None)) == ["all", "warm", "cold"]
    given = all_parts(table, {"mine": np.array([False, True, True])})
    assert list(given) == ["all", "mine"]
    assert given["all"].all()
    with pytest.raises(DataError, match=r"'mine' has shape \(2,\).* 3 rows"):
        all_parts(table, {"mine": np.array([True, False])})
