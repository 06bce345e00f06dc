from io import StringIO

import pytest
from rich.console import Console

from corarec.cf.progress import fit_progress
from corarec.cf.report import EpochRecord, FitReport

RECORD = EpochRecord(epoch=2, loss=0.5, train_auc=0.8, valid_auc=0.7, best_valid_auc=0.75)
REPORT = FitReport(
    seed=0, best_epoch=1, epochs=2, train_auc=0.9, valid_auc=0.75, train_rows=9, seconds=1.25
)


def show(console: Console | None) -> None:
    with fit_progress("mf", console) as progress:
        progress.epoch(RECORD)
        progress.done(REPORT)


def test_train_and_validation_auc_stand_side_by_side() -> None:
    text = StringIO()
    show(Console(file=text, width=120))
    assert text.getvalue() == "mf: AUC train 0.9000 | validation 0.7500 at epoch 1 of 2, 1.2 s\n"


def test_a_model_without_epochs_names_none() -> None:
    text = StringIO()
    with fit_progress("rates", Console(file=text, width=120)) as progress:
        progress.done(REPORT.model_copy(update={"epochs": 0}))
    assert text.getvalue() == "rates: AUC train 0.9000 | validation 0.7500, 1.2 s\n"


def test_a_terminal_shows_every_epoch() -> None:
    text = StringIO()
    show(Console(file=text, width=120, force_terminal=True, color_system=None))
    assert "mf: fitting" in text.getvalue()
    assert "at epoch 1 of 2" in text.getvalue()


def test_no_console_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    show(None)
    assert capsys.readouterr() == ("", "")
