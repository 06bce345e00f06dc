import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corarec.errors import ConfigError, DataError
from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.compare import compare
from corarec.evaluate.evaluate import evaluate
from corarec.evaluate.metrics import auc, uauc
from corarec.evaluate.result import Evaluation
from corarec.types import ScoreTable

MakeTable = Callable[..., ScoreTable]
FAST = BootstrapConfig(draws=100)


def test_counts_and_values(make_table: MakeTable) -> None:
    table = make_table(
        users=[1, 1, 2, 2, 3],
        labels=[1, 0, 1, 0, 1],
        scores=[0.9, 0.1, 0.2, 0.8, 0.5],
        warm=[True, True, True, True, False],
    )
    result = evaluate(table, "MF", config=FAST)
    assert list(result.parts) == ["all", "warm", "cold"]
    whole = result.whole
    assert (whole.rows, whole.positives, whole.users, whole.users_in_uauc) == (5, 3, 3, 2)
    assert whole.metrics["auc"] is not None
    assert whole.metrics["auc"].value == pytest.approx(
        4 / 6
    )  # 0.9 beats both, 0.5 and 0.2 beat 0.1
    assert whole.metrics["uauc"] is not None
    assert whole.metrics["uauc"].value == 0.5
    assert (whole.metrics["uauc"].low, whole.metrics["uauc"].high) == (0.0, 1.0)
    assert whole.metrics["auc"].spread is None


def test_parts_without_a_value_are_none(make_table: MakeTable) -> None:
    table = make_table([1, 1, 2], [1, 0, 1], [0.9, 0.1, 0.2], warm=[True, True, False])
    cold = evaluate(table, config=FAST).parts["cold"]
    assert (cold.rows, cold.positives, cold.users, cold.users_in_uauc) == (1, 1, 1, 0)
    assert cold.metrics["auc"] is None
    assert cold.metrics["uauc"] is None
    empty = evaluate(table.take(table.warm), config=FAST).parts["cold"]
    assert (empty.rows, empty.users) == (0, 0)
    assert empty.metrics["auc"] is None


def test_part_with_auc_but_no_user_of_both_labels(make_table: MakeTable) -> None:
    whole = evaluate(make_table([1, 1, 2], [1, 1, 0], [0.9, 0.4, 0.5]), config=FAST).whole
    assert whole.metrics["auc"] is not None
    assert whole.metrics["auc"].value == 0.5
    assert whole.metrics["uauc"] is None


def test_seeds_are_averaged_with_their_spread(random_table: MakeTable) -> None:
    first = random_table(seed=1)
    second = replace(first, scores=random_table(seed=2).scores)
    result = evaluate([first, second], config=FAST)
    aucs = [auc(table.labels, table.scores) or 0 for table in (first, second)]
    uaucs = [uauc(table.user_ids, table.labels, table.scores) or 0 for table in (first, second)]
    assert result.seeds == 2
    assert result.whole.metrics["auc"] is not None
    assert result.whole.metrics["uauc"] is not None
    assert result.whole.metrics["auc"].value == pytest.approx(np.mean(aucs))
    assert result.whole.metrics["auc"].spread == pytest.approx(abs(aucs[0] - aucs[1]) / np.sqrt(2))
    assert result.whole.metrics["uauc"].value == pytest.approx(np.mean(uaucs))


def test_own_parts_replace_warm_and_cold(random_table: MakeTable) -> None:
    table = random_table()
    odd = table.user_ids % 2 == 1
    result = evaluate(table, parts={"odd": odd}, config=FAST)
    assert list(result.parts) == ["all", "odd"]
    assert result.parts["odd"] == evaluate(table.take(odd), parts={}, config=FAST).whole


def test_json_round_trip(random_table: MakeTable) -> None:
    result = evaluate(random_table(), config=FAST)
    assert Evaluation.model_validate_json(result.model_dump_json()) == result


def test_same_seed_same_interval(random_table: MakeTable) -> None:
    table = random_table()
    assert evaluate(table, config=FAST) == evaluate(table, config=FAST)
    other = evaluate(table, config=BootstrapConfig(draws=100, seed=1))
    assert other.whole.metrics["auc"] != evaluate(table, config=FAST).whole.metrics["auc"]


def test_one_label_only_is_an_error(make_table: MakeTable) -> None:
    with pytest.raises(DataError, match="All 2 rows of MF have the label 1"):
        evaluate(make_table([1, 2], [1, 1], [0.1, 0.2]), "MF")


def test_no_rows_is_an_error(make_table: MakeTable) -> None:
    with pytest.raises(DataError, match="no scores of MF"):
        evaluate(make_table([], [], []), "MF")
    with pytest.raises(DataError, match="no scores of MF"):
        evaluate([], "MF")


def test_not_finite_scores_name_the_seed(make_table: MakeTable) -> None:
    good = make_table([1, 1], [1, 0], [0.1, 0.2])
    bad = make_table([1, 1], [1, 0], [0.1, float("nan")])
    with pytest.raises(DataError, match="1 of 2 scores in MF, table 1 .* row 1"):
        evaluate([good, bad], "MF")


def test_mask_of_a_wrong_length_is_an_error(make_table: MakeTable) -> None:
    table = make_table([1, 1], [1, 0], [0.1, 0.2])
    with pytest.raises(DataError, match=r"part 'odd' has shape \(3,\).*2 rows"):
        evaluate(table, parts={"odd": np.ones(3, dtype=np.bool_)})


def test_metrics_are_chosen_by_name(make_table: MakeTable) -> None:
    table = make_table([1, 1, 2], [1, 0, 1], [0.0, 0.0, 0.0])
    result = evaluate(table, metrics=["logloss", "accuracy@0.7", "auc"], config=FAST)
    values = {name: one and one.value for name, one in result.whole.metrics.items()}
    assert values == {"logloss": pytest.approx(np.log(2)), "accuracy@0.7": 1 / 3, "auc": 0.5}
    with pytest.raises(ConfigError, match="There is no metric 'f1'"):
        evaluate(table, metrics=["f1"])


def test_scores_that_are_no_logits_have_no_metric_of_probabilities(make_table: MakeTable) -> None:
    table = make_table([1, 1, 2], [1, 0, 1], [0.0, 0.0, 0.0])
    order = replace(table, logits=False)
    assert not order.take(np.array([0, 1])).logits
    assert list(evaluate(order, metrics=["ece", "auc"], config=FAST).whole.metrics) == [
        "ece",
        "auc",
    ]
    assert evaluate(order, metrics=["ece", "auc"], config=FAST).whole.metrics["ece"] is None
    tested = compare(table, order, metrics=["logloss", "auc"], config=FAST).parts["all"]
    assert tested.metrics["logloss"] is None
    assert tested.metrics["auc"] is not None


def test_all_rows_of_one_label_have_metrics_that_do_not_need_both(make_table: MakeTable) -> None:
    table = make_table([1, 2], [1, 1], [0.0, 0.0])
    loss = evaluate(table, metrics=["logloss"], config=FAST).whole.metrics["logloss"]
    assert loss is not None
    assert loss.value == pytest.approx(np.log(2))


def test_the_evaluator_imports_nothing_heavy() -> None:
    heavy = ["rich", "polars", "torch", "transformers", "typer", "jinja2", "sklearn"]
    code = f"import sys, corarec.evaluate; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
