from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from corarec import progress as module
from corarec.progress import duration, progress


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
