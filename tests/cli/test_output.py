import json
from io import StringIO
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from corarec.cli.output import (
    heading,
    print_json,
    print_recommendations,
    say,
    scoring_progress,
    training_progress,
)


def pipe(width: int = 80) -> Console:
    return Console(file=StringIO(), width=width)


def terminal(width: int = 80) -> Console:
    return Console(file=StringIO(), width=width, force_terminal=True, color_system=None)


def text(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_a_line_in_a_pipe_is_never_wrapped() -> None:
    console = pipe()
    say("word " * 3_000, console)
    assert text(console).count("\n") == 1


def test_markup_and_control_characters_are_text() -> None:
    console = pipe()
    say("[red]x[/nope] \x1b[31m\u202e", console)
    heading("[/] of 5", console)
    assert text(console) == "[red]x[/nope] \\x1b[31m\\u202e\n== [/] of 5\n"
    console = terminal()
    heading("[/] of 5", console)
    assert " [/] of 5 " in text(console)


def test_recommendations_hold_rank_probability_id_and_title_on_one_line_each() -> None:
    best = pl.DataFrame(
        {
            "rank": [1, 2],
            "item": ["17", "B00[x]\x07"],
            "title": ["[/] " + "long " * 50, "Heat\n(1995)"],
            "probability": [0.9, 0.051],
        }
    )
    console = pipe(40)
    print_recommendations(best, console)
    first, second = text(console).splitlines()
    assert first.split(maxsplit=3)[:3] == ["1", "90.0%", "17"]
    assert second == r"  2    5.1%  B00[x]\x07  Heat\n(1995)"
    print_recommendations(best.clear(), console)


def test_json_is_ascii_and_has_no_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": float("nan"), "b": [float("inf"), 1.5, ("é\u202e", None)], "c": {"d": 1}})
    out = capsys.readouterr().out
    assert out.isascii()
    assert json.loads(out) == {"a": None, "b": [None, 1.5, ["é\u202e", None]], "c": {"d": 1}}


def test_scoring_says_what_follows(monkeypatch: Any) -> None:
    console = terminal(100)
    monkeypatch.setattr("corarec.cli.output.log", console)
    with scoring_progress(10, "scoring test", "drawing intervals") as advance:
        advance(5)
        advance(5)
    assert "drawing intervals" in text(console)


RECORDS = [
    {"step": 10.0, "train_loss": 0.7, "learning_rate": 1e-3, "seconds": 20.0},
    {"step": 10.0, "valid_auc": 0.6, "seconds": 25.0},
]


def test_a_training_in_a_log_is_its_records_with_the_time_left() -> None:
    console = pipe(20)
    with training_progress(100, console, every_record=True) as show:
        for record in RECORDS:
            show(record)
    first, second = text(console).splitlines()
    assert first == (
        "step 10  train_loss 0.7000  learning_rate 1.0e-03  seconds 20 s  about 3 min 00 s left"
    )
    assert "valid_auc 0.6000" in second


def test_a_training_on_a_terminal_has_a_bar_with_the_time_left() -> None:
    for every_record in (True, False):
        console = terminal(120)
        with training_progress(100, console, every_record=every_record) as show:
            for record in RECORDS:
                show(record)
        assert "training, loss 0.7000, validation AUC 0.6000" in text(console)
        assert "10/100" in text(console)
        assert "about 3 min 00 s left" in text(console)
        assert ("learning_rate 1.0e-03" in text(console)) == every_record
