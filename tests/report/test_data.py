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
    assert curve.valid_auc == [(20, 0.7)]


def test_a_probability_is_a_share() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Recommendation(title="Orchard (2000)", probability=91)


def test_report_data_round_trips_through_json(data: ReportData) -> None:
    assert ReportData.model_validate_json(data.model_dump_json()) == data
