from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corarec.errors import DataError
from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.compare import compare
from corarec.evaluate.evaluate import evaluate
from corarec.evaluate.result import Comparison
from corarec.types import ScoreTable

MakeTable = Callable[..., ScoreTable]
FAST = BootstrapConfig(draws=200)


def worse(table: ScoreTable, seed: int = 9) -> ScoreTable:
    noise = np.random.default_rng(seed).normal(scale=3, size=len(table))
    return replace(table, scores=table.scores + noise)


def test_identical_systems_differ_by_exactly_zero(random_table: MakeTable) -> None:
    table = random_table()
    for part in compare(table, table, config=FAST).parts.values():
        for difference in (part.auc, part.uauc):
            assert difference is not None
            assert (difference.value, difference.low, difference.high) == (0.0, 0.0, 0.0)
            assert difference.p_value == 1.0


def test_a_better_system_is_found_better(random_table: MakeTable) -> None:
    table = random_table(rows=2000)
    result = compare(table, worse(table), ("clean", "noisy"), config=FAST)
    assert (result.first, result.second) == ("clean", "noisy")
    difference = result.parts["all"].auc
    assert difference is not None
    assert 0 < difference.low < difference.value < difference.high
    assert difference.p_value == pytest.approx(2 / 201)


def test_the_value_is_the_difference_of_the_evaluations(random_table: MakeTable) -> None:
    table = random_table()
    first, second = [table, worse(table, 1)], [worse(table, 2), worse(table, 3), worse(table, 4)]
    result = compare(first, second, config=FAST)
    one, other = evaluate(first, config=FAST), evaluate(second, config=FAST)
    assert (result.first_seeds, result.second_seeds) == (2, 3)
    for part in ("all", "warm", "cold"):
        for metric in ("auc", "uauc"):
            left, right = getattr(one.parts[part], metric), getattr(other.parts[part], metric)
            difference = getattr(result.parts[part], metric)
            assert difference.value == pytest.approx(left.value - right.value)


def test_swapping_the_systems_mirrors_the_interval(random_table: MakeTable) -> None:
    table = random_table()
    there = compare(table, worse(table), config=FAST).parts["all"].auc
    back = compare(worse(table), table, config=FAST).parts["all"].auc
    assert there is not None
    assert back is not None
    assert (back.value, back.low, back.high) == pytest.approx(
        (-there.value, -there.high, -there.low)
    )
    assert back.p_value == there.p_value


def test_pairing_narrows_the_interval(random_table: MakeTable) -> None:
    table = random_table(rows=2000)
    noise = np.random.default_rng(4).normal(scale=0.1, size=len(table))
    close = replace(table, scores=table.scores + noise)
    paired = compare(table, close, config=FAST).parts["all"].auc
    single = evaluate(table, config=FAST).whole.auc
    assert paired is not None
    assert single is not None
    assert paired.high - paired.low < (single.high - single.low) / 2


def test_empty_part_has_no_difference(make_table: MakeTable) -> None:
    table = make_table([1, 1], [1, 0], [0.2, 0.1])
    cold = compare(table, table, config=FAST).parts["cold"]
    assert (cold.rows, cold.auc, cold.uauc) == (0, None, None)


def test_json_round_trip(random_table: MakeTable) -> None:
    result = compare(random_table(), random_table(), config=FAST)
    assert Comparison.model_validate_json(result.model_dump_json()) == result


def test_other_rows_are_an_error(make_table: MakeTable) -> None:
    table = make_table([1, 1], [1, 0], [0.2, 0.1])
    longer = make_table([1, 1, 1], [1, 0, 0], [0.2, 0.1, 0.1])
    with pytest.raises(DataError, match="MF has 2 rows and CoRA has 3"):
        compare(table, longer, ("MF", "CoRA"))
    other_item = replace(table, item_ids=np.array([1, 7]))
    with pytest.raises(DataError, match="differ in item_ids at row 1: 2 and 7"):
        compare(table, other_item, ("MF", "CoRA"))
    with pytest.raises(DataError, match="MF, table 0 and MF, table 1 differ in labels at row 0"):
        compare([table, replace(table, labels=np.array([0, 1]))], table, ("MF", "CoRA"))
