from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corarec.errors import DataError
from corarec.evaluate.bootstrap import BootstrapConfig, UserBootstrap
from corarec.evaluate.compare import compare, difference
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
        for tested in (part.metrics["auc"], part.metrics["uauc"]):
            assert tested is not None
            assert (tested.value, tested.low, tested.high) == (0.0, 0.0, 0.0)
            assert tested.p_value == 1.0


def test_a_better_system_is_found_better(random_table: MakeTable) -> None:
    table = random_table(rows=2000)
    result = compare(table, worse(table), ("clean", "noisy"), config=FAST)
    assert (result.first, result.second) == ("clean", "noisy")
    tested = result.parts["all"].metrics["auc"]
    assert tested is not None
    assert 0 < tested.low < tested.value < tested.high
    assert tested.p_value == pytest.approx(2 / 201)


def test_the_value_is_the_difference_of_the_evaluations(random_table: MakeTable) -> None:
    table = random_table()
    first, second = [table, worse(table, 1)], [worse(table, 2), worse(table, 3), worse(table, 4)]
    result = compare(first, second, config=FAST)
    one, other = evaluate(first, config=FAST), evaluate(second, config=FAST)
    assert (result.first_seeds, result.second_seeds) == (2, 3)
    for part in ("all", "warm", "cold"):
        for metric in ("auc", "uauc"):
            left, right = one.parts[part].metrics[metric], other.parts[part].metrics[metric]
            tested = result.parts[part].metrics[metric]
            assert tested
            assert left
            assert right
            assert tested.value == pytest.approx(left.value - right.value)


def test_swapping_the_systems_mirrors_the_interval(random_table: MakeTable) -> None:
    table = random_table()
    there = compare(table, worse(table), config=FAST).parts["all"].metrics["auc"]
    back = compare(worse(table), table, config=FAST).parts["all"].metrics["auc"]
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
    paired = compare(table, close, config=FAST).parts["all"].metrics["auc"]
    single = evaluate(table, config=FAST).whole.metrics["auc"]
    assert paired is not None
    assert single is not None
    assert paired.high - paired.low < (single.high - single.low) / 2


def test_empty_part_has_no_difference(make_table: MakeTable) -> None:
    table = make_table([1, 1], [1, 0], [0.2, 0.1])
    cold = compare(table, table, config=FAST).parts["cold"]
    assert (cold.rows, cold.metrics["auc"], cold.metrics["uauc"]) == (0, None, None)


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


def test_noise_of_summation_is_no_difference() -> None:
    bootstrap = UserBootstrap(FAST, 3, 9)
    draws = np.full(200, 3e-17)
    tested = difference(1e-17, draws, bootstrap)
    assert tested is not None
    assert (tested.value, tested.low, tested.high, tested.p_value) == (0.0, 0.0, 0.0, 1.0)


def test_draws_without_a_value_are_not_counted() -> None:
    draws = np.concatenate([np.full(99, 0.1), np.full(101, np.nan)])
    tested = difference(0.1, draws, UserBootstrap(FAST, 3, 9))
    assert tested is not None
    assert tested.draws == 99
    assert tested.p_value == pytest.approx(2 / 100)
