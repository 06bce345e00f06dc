from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corarec.errors import DataError
from corarec.evaluate.metrics import metrics_named
from corarec.evaluate.rows import all_parts, check_same_rows, check_table, checked_seeds
from corarec.types import ScoreTable

MakeTable = Callable[..., ScoreTable]
AUC = metrics_named(["auc"])


@pytest.fixture
def table(make_table: MakeTable) -> ScoreTable:
    return make_table([1, 1, 2], [1, 0, 1], [0.3, 0.2, 0.1], warm=[True, False, True])


def test_one_table_is_one_seed(table: ScoreTable) -> None:
    assert checked_seeds(table, "A", AUC) == [table]
    other = replace(table, scores=table.scores + 1)
    assert checked_seeds((table, other), "A", AUC) == [table, other]


def test_what_cannot_be_evaluated_is_named(table: ScoreTable) -> None:
    with pytest.raises(DataError, match="no scores of A"):
        checked_seeds([], "A", AUC)
    with pytest.raises(DataError, match="no scores of A"):
        checked_seeds(table.take(np.zeros(3, bool)), "A", AUC)
    with pytest.raises(DataError, match="All 2 rows of A have the label 1, so AUC has no value"):
        checked_seeds(table.take(np.array([0, 2])), "A", AUC)
    assert checked_seeds(table.take(np.array([0, 2])), "A", metrics_named(["logloss"]))
    broken = replace(table, scores=np.array([0.1, np.nan, 0.2]))
    with pytest.raises(DataError, match="A, table 1 .*first is row 1"):
        checked_seeds([table, broken], "A", AUC)


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


def test_scores_that_are_not_finite_are_named(make_table: MakeTable) -> None:
    table = make_table([1, 1, 4], [1, 0, 1], [0.5, float("inf"), float("nan")], items=[3, 8, 9])
    with pytest.raises(
        DataError, match=r"2 of 3 scores in MF .* row 1 \(user 1, item 8\) with inf"
    ):
        check_table(table, "MF")


def test_labels_that_are_ratings_are_named(make_table: MakeTable) -> None:
    with pytest.raises(DataError, match="1 of 2 labels in MF are not 0 or 1.*row 1 with 5"):
        check_table(make_table([1, 1], [1, 5], [0.5, 0.1]), "MF")
