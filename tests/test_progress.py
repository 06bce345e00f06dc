from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from corarec import progress as module
from corarec.cf.report import EpochRecord, FitReport
from corarec.progress import duration, fit_progress, progress


class Clock:
    now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: Any) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


def test_a_log_hears_every_ten_seconds_how_far_it_is_and_how_long_it_takes(clock: Clock) -> None:
    text = StringIO()
    with progress(Console(file=text, width=20), "scoring test", 3000) as tracker:
        for _ in range(30):
            clock.now += 2
            tracker.advance(50)
    lines = text.getvalue().splitlines()
    assert lines[0] == "scoring test, 250 of 3,000 (8%), 10 s so far, about 1 min 50 s left"
    assert len(lines) == 6
    assert "\x1b" not in text.getvalue()


def test_quick_work_says_nothing_in_a_log(clock: Clock) -> None:
    text = StringIO()
    with progress(Console(file=text), "scoring", 10) as tracker:
        clock.now += 9
        tracker.advance(10)
    assert text.getvalue() == ""


def test_without_a_known_end_a_log_hears_the_state_and_the_time(clock: Clock) -> None:
    text = StringIO()
    with progress(Console(file=text), "als: fitting") as tracker:
        clock.now += 70
        tracker.tell("als: epoch 3\x1b")
    assert text.getvalue() == "als: epoch 3\\x1b, 1 min 10 s so far\n"


def test_time_spent_before_counts_for_what_is_left(clock: Clock) -> None:
    with progress(None, "training", 300) as tracker:
        tracker.earlier = 50.0
        tracker.done = 100
        assert tracker.left == "about 1 min 40 s left"
        tracker.done = 300
        assert tracker.left == ""


def test_a_terminal_gets_a_bar_with_the_time_left_and_markup_is_text(clock: Clock) -> None:
    text = StringIO()
    console = Console(file=text, force_terminal=True, color_system=None, width=100)
    with progress(console, "[red]x", 100) as tracker:
        clock.now += 5
        tracker.advance(50)
    assert "[red]x" in text.getvalue()
    assert "50/100" in text.getvalue()
    assert "about 5 s left" in text.getvalue()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3900, "1 h 05 min"),
        (7.2e6, "2,000 h 00 min"),
    ],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


RECORD = EpochRecord(epoch=2, loss=0.5, train_auc=0.8, valid_auc=0.7, best_valid_auc=0.75)
REPORT = FitReport(
    seed=0, best_epoch=1, epochs=2, train_auc=0.9, valid_auc=0.75, train_rows=9, seconds=1.25
)


def show_fit(console: Console | None) -> None:
    with fit_progress("mf", console) as progress:
        progress.epoch(RECORD)
        progress.done(REPORT)


def test_train_and_validation_auc_stand_side_by_side() -> None:
    text = StringIO()
    show_fit(Console(file=text, width=120))
    assert text.getvalue() == "mf: AUC train 0.9000 | validation 0.7500 at epoch 1 of 2, 1.2 s\n"


def test_a_model_without_epochs_names_none() -> None:
    text = StringIO()
    with fit_progress("rates", Console(file=text, width=120)) as progress:
        progress.done(REPORT.model_copy(update={"epochs": 0}))
    assert text.getvalue() == "rates: AUC train 0.9000 | validation 0.7500, 1.2 s\n"


def test_a_terminal_shows_every_epoch() -> None:
    text = StringIO()
    show_fit(Console(file=text, width=120, force_terminal=True, color_system=None))
    assert "mf: fitting" in text.getvalue()
    assert "at epoch 1 of 2" in text.getvalue()


def test_no_console_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    show_fit(None)
    assert capsys.readouterr() == ("", "")
