from pathlib import Path

import pytest

from corarec.errors import ArtifactError
from corarec.train.metrics import METRICS, read_metrics


def test_a_run_that_was_not_trained_has_no_records(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []


def test_a_line_cut_off_at_the_end_is_left_out(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text('{"step": 1, "train_loss": 0.5}\n{"step": 2, "tr')
    assert read_metrics(tmp_path) == [{"step": 1, "train_loss": 0.5}]


def test_a_damaged_line_before_the_end_is_named(tmp_path: Path) -> None:
    (tmp_path / METRICS).write_text('{"step": 1}\nnonsense\n{"step": 3}\n')
    with pytest.raises(ArtifactError, match=r"metrics\.jsonl line 2 is not JSON"):
        read_metrics(tmp_path)
