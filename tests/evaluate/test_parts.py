from collections.abc import Callable

import numpy as np
import pytest

from corarec.errors import ConfigError
from corarec.evaluate.parts import interaction_parts, item_parts, warm_cold_parts
from corarec.types import Pairs, ScoreTable

MakeTable = Callable[..., ScoreTable]
MakePairs = Callable[..., Pairs]


def test_warm_and_cold_share_the_rows(make_table: MakeTable) -> None:
    table = make_table([1, 2], [1, 0], [0.1, 0.2], warm=[True, False])
    parts = warm_cold_parts(table)
    assert parts["warm"].tolist() == [True, False]
    assert parts["cold"].tolist() == [False, True]


def test_interactions_of_user_and_item_are_counted(
    make_table: MakeTable, make_pairs: MakePairs
) -> None:
    # In train user 1 occurs 3 times, user 2 once; item 1 twice, items 2 and 3 once.
    train = make_pairs(users=[1, 1, 1, 2], items=[1, 2, 3, 1])
    table = make_table(
        users=[1, 1, 2, 9, 1], labels=[1, 0, 1, 0, 1], scores=[0.0] * 5, items=[1, 2, 1, 1, 50]
    )
    parts = interaction_parts(table, train, threshold=2)
    assert list(parts) == ["frequent (>= 2)", "rare (< 2)"]
    assert parts["frequent (>= 2)"].tolist() == [True, False, False, False, False]
    assert parts["rare (< 2)"].tolist() == [False, True, True, True, True]
    by_presence = interaction_parts(table, train, threshold=1)
    assert by_presence["frequent (>= 1)"].tolist() == [True, True, True, False, False]


def test_threshold_below_one_is_an_error(make_table: MakeTable, make_pairs: MakePairs) -> None:
    with pytest.raises(ConfigError, match="threshold of train interactions is 0"):
        interaction_parts(make_table([1], [1], [0.1]), make_pairs([1], [1]), threshold=0)


def test_rows_are_parted_by_the_rows_of_their_item(
    make_table: MakeTable, make_pairs: MakePairs
) -> None:
    train = make_pairs(users=[1] * 8, items=[1, 2, 2, 3, 3, 3, 3, 3])
    table = make_table(
        users=[1] * 5, labels=[1, 0, 1, 0, 1], scores=[0.0] * 5, items=[1, 2, 3, 4, 50]
    )
    parts = item_parts(table, train, [1, 2, 5])
    assert list(parts) == ["item rows 0", "item rows 1", "item rows 2-4", "item rows >= 5"]
    found = [np.flatnonzero(mask).tolist() for mask in parts.values()]
    assert found == [[3, 4], [0], [1], [2]]
    for wrong in ([0], [5, 5], [6, 1]):
        with pytest.raises(ConfigError, match="must rise"):
            item_parts(table, train, wrong)
