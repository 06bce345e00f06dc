import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from corarec.errors import TrainingError
from corarec.tune import tuning
from corarec.tune.trials import Ended

from .conftest import corarec


@pytest.fixture
def typed(tmp_path: Path, recipe: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return a command whose trainings take no time and fail for the smallest rate."""

    def train(config: Any, run: Path, **_: Any) -> None:
        if config.train.learning_rate < 1e-3:
            raise TrainingError("The loss became nan at \x1b[2Jstep 3.")

    monkeypatch.setattr(tuning, "train_run", train)
    value = lambda run, config, *_: Ended("complete", config.train.learning_rate, 3, 1.0)  # noqa: E731
    monkeypatch.setattr(tuning, "measure", value)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), "utf-8")
    (tmp_path / "space.yaml").write_text("train.learning_rate: [2.0e-4, 1.0e-3, 2.0e-3]", "utf-8")
    command = ["tune", tmp_path / "recipe.yaml", "--space", tmp_path / "space.yaml"]
    return [*command, "--output", tmp_path / "tuned", "--sampler", "grid", "--trials"]


def test_a_tuning_prints_its_trials_and_the_best(
    typed: list[Any], tmp_path: Path, capsys: Any
) -> None:
    assert corarec(*typed, 9) == 0
    printed = capsys.readouterr()
    assert "Best auc on validation: 0.0020 at step 3 of trial" in printed.out
    assert "with train.learning_rate=0.002." in printed.out
    assert "failed: The loss became nan at \\x1b[2Jstep 3." in printed.out
    assert f"corarec train {tmp_path / 'tuned' / 'best.yaml'} --output" in printed.out
    assert "train.learning_rate=" in printed.err  # progress

    assert corarec(*typed, 9, "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["best"]["values"] == {"train.learning_rate": 2e-3}
    assert (told["metric"], told["budget"], len(told["trials"])) == ("auc", 3, 3)
    assert sorted(trial["state"] for trial in told["trials"]) == ["complete", "complete", "failed"]
    assert Path(told["recipe"]) == tmp_path / "tuned" / "best.yaml"


def test_without_a_complete_trial_the_command_fails(
    typed: list[Any], tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "space.yaml").write_text("train.learning_rate: [2.0e-4, 3.0e-4]", "utf-8")
    assert corarec(*typed, 2) == 1
    printed = capsys.readouterr()
    assert "None of the 2 trials was completed; the last: The loss became nan" in printed.err
    assert not (tmp_path / "tuned" / "best.yaml").exists()
    assert (tmp_path / "tuned" / "trials.parquet").exists()


@pytest.mark.parametrize("trials", ["0", "-1", "many"])
def test_a_budget_that_is_none_cannot_be_typed(trials: str, typed: list[Any]) -> None:
    assert corarec(*typed, trials) == 2
