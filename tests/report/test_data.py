import pytest
from pydantic import ValidationError

from corarec.report.data import Recommendation, ReportData, TrainingCurve


def test_curves_are_picked_out_of_metric_records() -> None:
    records = [
        {"step": 10, "train_loss": 0.6, "learning_rate": 1e-3},
        {"step": 20, "train_loss": 0.5},
        {"step": 20, "valid_auc": 0.7, "valid_uauc": 0.6},
    ]
    curve = TrainingCurve.from_records("CoRA", records)
    assert curve.train_loss == [(10, 0.6), (20, 0.5)]
    assert curve.valid == {"auc": [(20, 0.7)], "uauc": [(20, 0.6)]}


def test_phases_are_counted_on_and_what_is_not_finite_is_left_out() -> None:
    records = [
        {"phase": "text", "step": 10, "train_loss": 0.6},
        {"phase": "text", "step": 20, "valid_auc": float("nan")},
        {"phase": "cf", "step": 5, "train_loss": float("inf"), "valid_auc": 0.7},
    ]
    curve = TrainingCurve.from_records("CoLLM", records)
    assert curve.train_loss == [(10, 0.6)]
    assert curve.valid == {"auc": [(25, 0.7)]}
    assert curve.last_phase == 20


def test_a_probability_is_a_share() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Recommendation(title="Orchard (2000)", probability=91)


def test_report_data_round_trips_through_json(data: ReportData) -> None:
    assert ReportData.model_validate_json(data.model_dump_json()) == data
