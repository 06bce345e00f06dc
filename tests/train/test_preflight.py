import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from corarec.errors import ConfigError
from corarec.recipe import RunConfig, TrainConfig
from corarec.train import train_run
from corarec.train.doctor import diagnose
from corarec.train.preflight import preflight


@pytest.mark.parametrize("tracker", ["tensorboard", "wandb", "mlflow"])
def test_a_tracker_that_is_not_installed(tracker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig.parse({"report_to": [tracker]}, "test")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=rf"names {tracker}, whose package is not installed"):
        preflight(config)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    preflight(config)


def test_threads_beyond_the_machine_are_refused_before_any_work(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    before = torch.get_num_threads()
    config = RunConfig.parse({**recipe, "train": {**recipe["train"], "threads": 9999}}, "recipe")
    with pytest.raises(ConfigError, match=r"train.threads is 9,999, but this machine has \d+ CPUs"):
        train_run(config, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"train.threads is 9,999"):
        diagnose(config)
    assert not (tmp_path / "run").exists()
    assert torch.get_num_threads() == before


def test_the_threads_are_set() -> None:
    before = torch.get_num_threads()
    try:
        preflight(TrainConfig(threads=3))
        assert torch.get_num_threads() == 3
        preflight(TrainConfig())
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
