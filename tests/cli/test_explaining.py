import json
from pathlib import Path
from typing import Any

import pytest

from .conftest import corarec


def words(text: str) -> str:
    return " ".join(text.split())


def test_an_explanation_is_a_small_table_and_one_json_document(
    trained_run: Path, capsys: Any
) -> None:
    asked = ("explain", trained_run, "--user", "7", "--item", "5")
    assert corarec(*asked) == 0
    shown = capsys.readouterr()
    assert "all that CF knows: text alone" in shown.out
    assert 'liked title "' in shown.out
    assert "do not add up" in words(shown.err)
    assert corarec(*asked, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["run"], found["user"], found["item"]) == (str(trained_run), "7", "5")
    assert len(found["effects"]) == 4 + found["num_shown"]
    assert shown.out.count("pp ") == len(found["effects"])
    assert f"{found['probability']:.1%}" in shown.out


def test_a_title_of_somebody_steers_no_terminal(trained_run: Path, capsys: Any) -> None:
    title = "Red \x1b[31m\u202e Heist"
    assert corarec("explain", trained_run, "--user", "7", "--title", title) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out
    assert "\\u202e" in shown.out
    assert "No line for what CF knows of the item." in words(shown.err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("explain", "--item", "5"), "Explain for whom?"),
        (("explain", "--user", "7", "--liked", "X", "--item", "5"), "Explain for whom?"),
        (("explain", "--user", "7"), "Explain what?"),
        (("explain", "--user", "7", "--item", "5", "--title", "X"), "Explain what?"),
        (("explain", "--user", "7", "--item", "x9"), "There is no item 'x9'"),
        (("explain", "--liked", "No Such", "--item", "5"), "No item has the title 'No Such'"),
        (("export-lora", "--user", "7", "--item", "5", "--title", "X"), "not both"),
    ],
)
def test_what_cannot_be_asked_is_said(
    arguments: tuple[str, ...], message: str, trained_run: Path, tmp_path: Path, capsys: Any
) -> None:
    verb, *rest = arguments
    output: list[str | Path] = ["--output", tmp_path / "lora"] if verb == "export-lora" else []
    assert corarec(verb, trained_run, *rest, *output) == 1
    captured = capsys.readouterr()
    assert message in words(captured.err)
    assert captured.out == ""
    assert not list(tmp_path.iterdir())


def test_a_lora_is_written_with_what_to_ask_and_whom_it_concerns(
    trained_run: Path, tmp_path: Path, capsys: Any
) -> None:
    asked = ("export-lora", trained_run, "--user", "7", "--output", tmp_path / "lora")
    assert corarec(*asked, "--item", "5") == 0
    shown = capsys.readouterr()
    assert "Ask with it: #Question: A user has given" in words(shown.out)
    assert "made from what the CF model learned of this person" in words(shown.err)
    assert (tmp_path / "lora" / "adapter_model.safetensors").is_file()
    assert corarec(*asked, "--format", "json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["user"], found["item"], found["prompt"]) == ("7", None, None)
    assert (found["user_known"], found["item_known"]) == (True, False)
    assert found["output"] == str(tmp_path / "lora")
    assert corarec(*asked, "--title", "The New (2001)") == 0
    assert "CF knows no such item: the item half" in words(capsys.readouterr().err)
