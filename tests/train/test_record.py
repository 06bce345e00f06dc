import json
from pathlib import Path
from typing import Any

import pytest

from corarec.recipe import RunConfig
from corarec.train.record import TRAINING, read_training
from corarec.train.run import train_run
from corarec.train.state import run_state


def config(recipe: dict[str, Any], **train: Any) -> RunConfig:
    return RunConfig.parse(recipe | {"train": recipe["train"] | train}, "the test")


def test_a_training_says_what_it_cost_and_what_ran_it(trained_run: Path) -> None:
    record = read_training(trained_run)
    assert record is not None
    (session,) = record.sessions
    assert record.trainable_parameters > 1000
    assert record.cpu_seconds > 0
    assert 0 < record.seconds < 600
    assert record.peak_memory_mb is None or 50 < record.peak_memory_mb < 100_000
    assert session.threads == 1
    assert {"python", "torch", "transformers", "corarec"} <= session.versions.keys()


def test_what_goes_on_adds_a_session_and_what_is_done_none(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train_run(config(recipe, steps=3), run)
    assert run_state(run, config(recipe, steps=3)) == "finished"
    assert run_state(run, config(recipe, steps=6)) == "begun"
    first = read_training(run)
    train_run(config(recipe, steps=3), run)
    assert read_training(run) == first
    train_run(config(recipe, steps=6), run)
    second = read_training(run)
    assert first is not None
    assert second is not None
    assert second.sessions[:1] == first.sessions
    assert len(second.sessions) == 2
    assert second.seconds == pytest.approx(sum(one.seconds for one in second.sessions))
    assert second.cpu_seconds > first.cpu_seconds


@pytest.mark.parametrize("content", ["", "{", '{"sessions": 3}', "[]", '{"x": NaN}'])
def test_a_damaged_record_says_nothing_and_stops_nothing(
    content: str, recipe: dict[str, Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    assert read_training(run) is None
    (run / TRAINING).write_text(content)
    assert read_training(run) is None


def test_a_training_goes_on_beside_a_damaged_record(recipe: dict[str, Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    train_run(config(recipe, steps=3), run)
    (run / TRAINING).write_text("{")
    train_run(config(recipe, steps=6), run)
    record = read_training(run)
    assert record is not None
    assert len(record.sessions) == 1


def test_what_trains_nothing_is_finished_and_has_a_record(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    system = {"name": "icl", "backbone": recipe["system"]["backbone"]}
    icl = RunConfig.parse({"data": recipe["data"], "system": system}, "the test")
    assert run_state(tmp_path / "run", icl) == "new"
    train_run(icl, tmp_path / "run")
    assert run_state(tmp_path / "run", icl) == "finished"
    content = json.loads((tmp_path / "run" / TRAINING).read_text())
    assert content["trainable_parameters"] == 0
    train_run(icl, tmp_path / "run")
    assert json.loads((tmp_path / "run" / TRAINING).read_text()) == content


def test_a_run_with_a_damaged_checkpoint_has_begun(trained_run: Path, tmp_path: Path) -> None:
    import shutil

    from corarec.recipe import load_recipe

    run = tmp_path / "run"
    shutil.copytree(trained_run, run)
    asked = load_recipe(run / "config.yaml")
    assert run_state(run, asked) == "finished"
    for state in run.glob("checkpoints/*/trainer_state.json"):
        state.write_text("{")
    assert run_state(run, asked) == "begun"
