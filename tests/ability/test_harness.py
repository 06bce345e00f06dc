"""What lm-eval is asked, and that its answers are those of the model by hand."""

import logging
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from corarec.ability.files import Task, read_tasks
from corarec.ability.harness import definitions, measure_with_lm_eval
from corarec.ability.measured import ACCURACY, EXACT, OPTIONS, ROUGE, Values
from corarec.ability.reading import Language
from corarec.backbone import Backbone, BackboneConfig, load_backbone
from corarec.backbone.chat import PromptFrame


@pytest.fixture(scope="module")
def backbone(tiny_backbone: Path) -> Backbone:
    return load_backbone(BackboneConfig(model=str(tiny_backbone)))


def measured(backbone: Backbone, tasks: list[Task], batch_tokens: int = 2048) -> dict[Any, Values]:
    language = Language(backbone.tokenizer, backbone.frame)
    found = measure_with_lm_eval(
        backbone.model, language, tasks, batch_tokens=batch_tokens, advance=lambda count: None
    )
    return {(task, measure): values for task, measure, values in found}


def log_probability(backbone: Backbone, context: str, rest: str) -> float:
    first, whole = (backbone.tokenizer(text)["input_ids"] for text in (context, context + rest))
    with torch.no_grad():
        scores = backbone.model(torch.tensor([whole])).logits[0].log_softmax(-1)
    places = range(len(first), len(whole))
    return sum(float(scores[place - 1, whole[place]]) for place in places)


@pytest.mark.parametrize("batch_tokens", [64, 4096])
def test_choices_are_judged_by_log_probability_and_length(
    backbone: Backbone, questions: Path, batch_tokens: int
) -> None:
    tasks = read_tasks([questions / "choice.json"], None, 0)
    found = measured(backbone, tasks, batch_tokens=batch_tokens)
    assert set(found) == {("choice", measure) for measure in (ACCURACY, OPTIONS, EXACT)}
    for number, example in enumerate(tasks[0].examples):
        context = f"{example.prompt}\n{example.lead}"
        label = [log_probability(backbone, context, f" {choice}") for choice in example.choices]
        assert found["choice", ACCURACY].values[number] == (np.argmax(label) == example.gold)
        assert example.cloze is not None
        asked, options = example.cloze
        each = [log_probability(backbone, asked, f" {one}") / len(one.encode()) for one in options]
        assert found["choice", OPTIONS].values[number] == (np.argmax(each) == example.gold)
    assert found["choice", ACCURACY].rows == (1, 2, 3, 4)


def test_what_the_model_writes_is_judged(
    backbone: Backbone, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = read_tasks([questions], None, 0)
    wanted = [task for task in tasks if task.kind != "prompts"]
    found = measured(backbone, wanted)
    answers = found["summary", ROUGE].answers
    assert answers is not None
    assert len(answers) == 3
    assert found["facts", EXACT].values.tolist() == [0.0]

    def say(self: Any, requests: list[Any], disable_tqdm: bool = True) -> list[str]:
        said = {
            "The capital": " the NIL city.",
            "Please choo": "Answer2 it is",
            "Article: Ra": "Rain",
        }
        return [said.get(request.args[0][:11], "") for request in requests]

    monkeypatch.setattr("lm_eval.models.huggingface.HFLM.generate_until", say)
    found = measured(backbone, wanted)
    assert found["facts", EXACT].values.tolist() == [1.0]
    assert found["choice", EXACT].values.tolist() == [1.0, 0.0, 0.0, 1.0]
    assert found["summary", ROUGE].values.tolist() == [pytest.approx(2 / 3), 0.0, 0.0]


def test_nothing_is_fetched_printed_or_left_behind(
    backbone: Backbone,
    questions: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the network was asked")

    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    states = torch.get_rng_state(), str(np.random.get_state())
    level = logging.getLogger("lm_eval").level
    measured(backbone, read_tasks([questions / "facts.jsonl"], None, 0))
    assert list(place.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("lm_eval").level == level
    assert torch.equal(torch.get_rng_state(), states[0])
    assert str(np.random.get_state()) == states[1]


def test_a_chat_model_is_asked_in_its_own_turns(questions: Path, tmp_path: Path) -> None:
    (task,) = read_tasks([questions / "choice.json"], 1, 0)
    file = tmp_path / "docs.json"
    asked = list(definitions(task, PromptFrame("<user>", "</user>"), file))
    assert [measure for _, measure in asked] == [ACCURACY, OPTIONS, EXACT]
    text = file.read_text()
    assert '"led": "<user>Please' in text
    assert "</user>the correct answer is" in text


def test_prompts_without_answers_are_not_judged(backbone: Backbone, questions: Path) -> None:
    assert measured(backbone, read_tasks([questions / "prompts.txt"], None, 0)) == {}


def test_a_prompt_that_is_longer_than_the_model_reads_is_answered_from_its_end(
    backbone: Backbone, tmp_path: Path
) -> None:
    (tmp_path / "long.jsonl").write_text(
        '{"question": "' + "x y " * 2000 + '", "answers": ["z"]}\n'
    )
    found = measured(backbone, read_tasks([tmp_path / "long.jsonl"], None, 0))
    assert found["long", EXACT].values.shape == (1,)
