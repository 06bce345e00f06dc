import pytest
from pydantic import ValidationError

from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.result import (
    Difference,
    Estimate,
    Evaluation,
    PartComparison,
    PartEvaluation,
    ResultTable,
)


def part(rows: int = 4) -> PartEvaluation:
    estimate = Estimate(value=0.5, low=0.4, high=0.6)
    metrics = {"auc": estimate, "uauc": None}
    return PartEvaluation(rows=rows, positives=2, users=2, users_in_uauc=1, metrics=metrics)


def test_the_whole_is_the_part_called_all() -> None:
    config = BootstrapConfig(draws=5)
    parts = {"warm": part(3), "all": part(4)}
    evaluation = Evaluation(name="A", seeds=1, parts=parts, bootstrap=config)
    assert evaluation.whole.rows == 4


def test_a_difference_written_before_draws_were_kept_can_be_read() -> None:
    old = Difference.model_validate({"value": 0.1, "low": 0.0, "high": 0.2, "p_value": 0.05})
    assert old.draws is None


def test_records_do_not_change_and_know_their_keys() -> None:
    estimate = Estimate(value=0.5, low=0.4, high=0.6)
    with pytest.raises(ValidationError, match="frozen"):
        estimate.value = 1.0  # type: ignore[misc]
    with pytest.raises(ValidationError, match="extra"):
        ResultTable.model_validate({"dataset": "a", "split": "b", "systems": [], "typo": 1})
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Difference(value=0, low=0, high=0, p_value=1.5)
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        part(-1)


def test_results_written_with_fields_for_auc_and_uauc_can_be_read() -> None:
    new = part().model_dump()
    metrics = new.pop("metrics")
    assert PartEvaluation.model_validate(new | metrics) == part()
    counts = {"rows": 4, "users": 2, "users_in_uauc": 1}
    old = PartComparison.model_validate(counts | {"auc": None, "uauc": None})
    assert old.metrics == {"auc": None, "uauc": None}
    with pytest.raises(ValidationError, match="metrics"):
        PartComparison.model_validate(counts)
