import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from corarec.backbone.load import BackboneConfig, load_backbone
from corarec.errors import ArtifactError, ConfigError, InUseError
from corarec.pretrain.monitor import Monitor
from corarec.pretrain.pretrain import pretrain_backbone
from corarec.pretrain.trainer import last_checkpoint

Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def small_tokenizer_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the tokenizer see the years fewer times: there is little else to see here."""
    monkeypatch.setattr("corarec.pretrain.tokenizer._OFTEN", 100)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def steps(output: Path) -> list[int]:
    lines = (output / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["step"] for line in lines]


def assert_same(one: Path, other: Path) -> None:
    mine, theirs = weights(one), weights(other)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_a_model_is_trained_and_loads(write_recipe: Write, recipe_values: dict[str, Any]) -> None:
    path = write_recipe(recipe_values)
    output = path.parent / "run"
    folder = pretrain_backbone(path, output)

    records = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
    losses = [record["loss"] for record in records if "loss" in record]
    assert losses[-1] < losses[0] - 0.5
    assert {"films", "notes"} == records[-1]["bits_per_byte"].keys()

    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16
    assert AutoTokenizer.from_pretrained(folder).padding_side == "left"
    backbone = load_backbone(BackboneConfig(model=str(folder)))
    assert backbone.answers.texts == (" Yes", " No")


def test_stopped_and_resumed_equals_never_stopped(
    write_recipe: Write, recipe_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(recipe_values)
    whole = pretrain_backbone(path, path.parent / "whole")

    measure = Monitor.measure
    with monkeypatch.context() as patch:

        def stop(self: Monitor, model: Any, step: int) -> None:
            measure(self, model, step)
            if step == 10:
                raise KeyboardInterrupt

        patch.setattr(Monitor, "measure", stop)
        with pytest.raises(KeyboardInterrupt):
            pretrain_backbone(path, path.parent / "stopped")
    checkpoint = last_checkpoint(path.parent / "stopped")
    assert checkpoint is not None
    assert checkpoint.name == "checkpoint-5"  # what is measured at 10 stands in the log before it
    with (path.parent / "stopped" / "metrics.jsonl").open("a") as log:
        log.write('{"step": 11, "lo')
    assert_same(pretrain_backbone(path, path.parent / "stopped"), whole)
    assert steps(path.parent / "stopped") == steps(path.parent / "whole")


@pytest.mark.slow
def test_killed_and_resumed_equals_never_stopped(
    write_recipe: Write, recipe_values: dict[str, Any]
) -> None:
    phases = [{"name": "long", "tokens": 128 * 150, "mix": {"films": 1}, "block": 32}]
    path = write_recipe(recipe_values | {"phases": phases, "save_steps": 3})
    whole, killed = path.parent / "whole", path.parent / "killed"
    code = (
        "import sys, pathlib, torch; torch.set_num_threads(1)\n"
        "from corarec.pretrain.pretrain import pretrain_backbone\n"
        "pretrain_backbone(*map(pathlib.Path, sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, str(path)]
    subprocess.run([*command, str(whole)], check=True, stdout=subprocess.DEVNULL)

    for enough in (20, 80):
        process = subprocess.Popen([*command, str(killed)], stdout=subprocess.DEVNULL)
        while process.poll() is None:
            checkpoint = last_checkpoint(killed)
            if checkpoint and int(checkpoint.name.rpartition("-")[2]) >= enough:
                os.kill(process.pid, signal.SIGKILL)
                process.wait()
            time.sleep(0.01)
        assert process.returncode == -signal.SIGKILL
    subprocess.run([*command, str(killed)], check=True, stdout=subprocess.DEVNULL)
    assert_same(killed / "model", whole / "model")


def test_a_folder_with_other_files_is_refused_and_left(
    write_recipe: Write, recipe_values: dict[str, Any]
) -> None:
    path = write_recipe(recipe_values)
    output = path.parent / "thesis"
    (output / "model").mkdir(parents=True)
    (output / "model" / "chapter.tex").write_text("mine")
    with pytest.raises(ConfigError, match="has files in it but no recipe.json"):
        pretrain_backbone(path, output)
    assert [file.name for file in output.rglob("*")] == ["model", "chapter.tex"]


def test_a_folder_of_another_recipe(write_recipe: Write, recipe_values: dict[str, Any]) -> None:
    output = write_recipe(recipe_values).parent / "run"
    output.mkdir()
    (output / "recipe.json").write_text("{}")
    with pytest.raises(ArtifactError, match="holds a run of another recipe"):
        pretrain_backbone(write_recipe(recipe_values), output)


def test_two_processes_do_not_pretrain_in_one_folder(
    write_recipe: Write, recipe_values: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_recipe(recipe_values)
    output = path.parent / "run"
    monkeypatch.setattr(
        "corarec.pretrain.pretrain._pretrain",
        lambda recipe, folder: pretrain_backbone(path, folder),
    )
    with pytest.raises(InUseError, match=f"The pretraining folder .* process {os.getpid()} on"):
        pretrain_backbone(path, output)
