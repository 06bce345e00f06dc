import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import corarec


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows = [
        {"question": f"Is {name} here?", "choices": ["yes", "no"], "answer": "yes"}
        for name in ("Ann", "Bea", "Cid")
    ]
    (tmp_path / "quiz.json").write_text(json.dumps(rows))
    return tmp_path / "quiz.json"


def test_a_run_is_measured_and_kept(
    trained_run: Path, questions: Path, tmp_path: Path, capsys: Any
) -> None:
    output = tmp_path / "out"
    asked = ("general-ability", trained_run, "--data", questions, "--output", output)
    few = ("--limit", "2", "--draws", "20")
    assert corarec(*asked, *few, "--user", "7", "--repeats", "1", "--format", "json") == 0
    shown = capsys.readouterr()
    found = json.loads(shown.out)
    assert found == json.loads((output / "results.json").read_text())
    assert [state["bit_identical"] for state in found["states"][:2]] == [True, True]
    assert found["states"][2]["name"].endswith("increment of user 7")
    assert f"Written to {output}" in " ".join(shown.err.split())
    assert "requests" not in shown.err  # no bar of lm-eval

    assert corarec(*asked, *few) == 0  # its own folder is replaced
    shown = capsys.readouterr()
    assert "quiz: accuracy, label" in shown.out
    assert corarec(*asked, *few, "--format", "markdown") == 0
    assert capsys.readouterr().out.strip() == (output / "results.md").read_text().strip()


def test_mistakes_are_told_before_any_model_is_read(
    trained_run: Path, questions: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a model was read")

    monkeypatch.setattr("corarec.ability.measure.load_run", refuse)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    (tmp_path / "bad.json").write_text('[{"question": "x", "choices": ["a"], "answer": 0}]')
    general = ("general-ability", trained_run, "--output")
    for arguments, message in (
        ((tmp_path / "o",), "There is nothing to measure"),
        ((tmp_path / "o", "--data", tmp_path / "bad.json"), "bad.json, row 1: the choices are"),
        ((tmp_path / "o", "--data", tmp_path / "no.json"), "no.json cannot be read"),
        ((tmp_path / "o", "--text", tmp_path / "no.txt"), "no.txt cannot be read"),
        ((mine, "--data", questions), "files that corarec did not write"),
        ((tmp_path, "--data", questions), "would overwrite the input"),
        ((tmp_path / "o", "--data", questions, "--item", "5"), "--item stands beside a --user"),
    ):
        assert corarec(*general, *arguments) == 1
        assert message in " ".join(capsys.readouterr().err.split())
    assert corarec(*general, tmp_path / "o", "--limit", "0") == 2
    assert not (tmp_path / "o").exists()
    assert (mine / "notes.txt").read_text() == "mine"
