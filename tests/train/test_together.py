"""One run trained by two processes: the losses of one, and what happens where one fails."""

import json
import multiprocessing
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from safetensors.numpy import load_file

from corarec.errors import ConfigError
from corarec.recipe import RunConfig
from corarec.recommenders.base import Recommender
from corarec.train import train_run
from corarec.train.checkpoints import CHECKPOINTS
from corarec.train.together import check_shares, share

STEPS = 6


@pytest.fixture(scope="module")
def even(recipe: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe without dropout whose batches two processes cannot share evenly."""
    train = recipe["train"] | {"steps": STEPS, "batch_size": 7, "accumulate": 2}
    still = recipe["system"] | {"dropout": 0, "generator": {"dropout": 0}}
    return recipe | {"system": still, "train": train}


@pytest.fixture(scope="module")
def alone(even: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("alone") / "run"
    train_run(RunConfig.parse(even, "the fixture"), folder)
    return folder


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


CODE = """
import json, os
options = json.loads({options!r})
os.environ.update(options["environment"])
from corarec.errors import CorarecError
from corarec.recipe import RunConfig
from corarec.train import train_run
from pathlib import Path
with open(options["told"], "w") as stream:
    def show(record):
        print("step", record["step"], file=stream, flush=True)
    try:
        train_run(RunConfig.parse(options["recipe"], "it"), Path(options["folder"]), show=show)
    except CorarecError as error:
        stream.write(str(error))
"""


def together(recipe: dict[str, Any], folder: Path) -> list[str]:
    """Train by two processes; return what each showed or how it failed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["corarec.train"])
    told = [folder.parent / f"{folder.name}-{number}.txt" for number in range(2)]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = []
    for number in range(2):
        options = {
            "environment": shared | {"RANK": str(number), "LOCAL_RANK": str(number)},
            "recipe": recipe,
            "folder": str(folder),
            "told": str(told[number]),
        }
        code = CODE.format(options=json.dumps(options))
        processes.append(context.Process(target=exec, args=(code, {})))
        processes[-1].start()
    for process in processes:
        process.join(250)
        alive = process.is_alive()
        process.kill()
        assert not alive
        assert process.exitcode == 0
    return [path.read_text() for path in told]


def records(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def check_same(one: Path, other: Path) -> None:
    assert len(records(one)) == len(records(other)) == 4
    for first, second in zip(records(one), records(other), strict=True):
        assert first.keys() == second.keys()
        for name, value in first.items():
            close = pytest.approx(value, abs=1e-6, rel=3e-6 if name == "gradient_norm" else 0)
            assert second[name] == close, name
    for path in (f"{CHECKPOINTS}/checkpoint-{STEPS}", "best"):
        weights = [load_file(each / path / "adapter_model.safetensors") for each in (one, other)]
        for name, values in weights[0].items():
            # Biases of keys have gradients of rounding alone, which AdamW makes steps of.
            np.testing.assert_allclose(weights[1][name], values, rtol=0, atol=1e-4)


def test_two_processes_train_as_one_does_and_go_on_with_what_one_began(
    even: dict[str, Any], alone: Path, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    shown = together(even, tmp_path / "both")
    assert shown == ["step 3\nstep 3\nstep 6\nstep 6\n", ""], "the first alone tells"
    check_same(alone, tmp_path / "both")
    names = {path.relative_to(alone) for path in alone.rglob("*")}
    assert {path.relative_to(tmp_path / "both") for path in (tmp_path / "both").rglob("*")} == names
    session = json.loads((tmp_path / "both" / "training.json").read_text())["sessions"][-1]
    assert session["processes"] == 2

    # What two began one ends, with the weights of one all along.
    shutil.copytree(tmp_path / "both", begun)
    shutil.rmtree(begun / CHECKPOINTS / f"checkpoint-{STEPS}")
    train_run(RunConfig.parse(even, "the test"), begun)
    check_same(alone, begun)


@pytest.mark.slow
def test_one_begins_and_two_go_on(even: dict[str, Any], alone: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    shutil.copytree(alone, begun)
    shutil.rmtree(begun / CHECKPOINTS / f"checkpoint-{STEPS}")
    assert together(even, begun)[0].startswith("step 6")
    check_same(alone, begun)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_both_at_the_same_step(
    even: dict[str, Any], tmp_path: Path
) -> None:
    train = even["train"] | {"learning_rate": 1e30, "max_gradient_norm": 0, "warmup_steps": 0}
    first, second = together(even | {"train": train}, tmp_path / "run")
    assert "became" in first
    assert first == second
    assert not (tmp_path / "run" / ".lock").exists()


@pytest.mark.parametrize("process", [0, 1])
def test_an_error_that_all_have_is_told_once(
    even: dict[str, Any], tmp_path: Path, process: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second waits before it tells: the launcher ends it when the first has ended."""
    from corarec import cli
    from corarec.cli import commands, output

    for console in (output.console, output.log):
        monkeypatch.setattr(console, "quiet", False)  # put back afterwards
    monkeypatch.setenv("RANK", str(process))
    monkeypatch.setenv("WORLD_SIZE", "2")
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    monkeypatch.setattr(sys, "argv", ["corarec", "train", "nowhere.yaml", "--output", "x"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    assert waited == [commands.SECONDS_FOR_THE_FIRST] * process


def test_processes_that_cannot_share_a_batch_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("corarec.train.together.world", lambda: 2)
    with pytest.raises(ConfigError, match="The loss of Whole is made of a whole batch, so 2 proc"):
        check_shares(Whole(), 8)
    with pytest.raises(ConfigError, match="A batch has 1 rows, too few for 2 processes"):
        check_shares(Sharing(), 1)
    check_shares(Sharing(), 2)
    spread = Sharing()
    spread.far = torch.nn.Parameter(torch.zeros(1, device="meta"))
    with pytest.raises(ConfigError, match="device_map spreads the model over several devices"):
        check_shares(spread, 2)


class Whole(Recommender):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    examples = forward = validation = save = load = None  # type: ignore[assignment]


class Sharing(Whole):
    splits_batches = True


def test_shares_cover_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    for count, processes in ((7, 2), (2, 2), (5, 3)):
        monkeypatch.setattr("corarec.train.together.world", lambda n=processes: n)
        rows: list[int] = []
        for number in range(processes):
            monkeypatch.setattr("corarec.train.together.rank", lambda n=number: n)
            rows += range(count)[share(count)]
        assert rows == [*range(count)]


@pytest.mark.slow
def test_an_error_under_a_launcher_is_told_once(even: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(even | {"data": str(tmp_path / "nowhere")}))
    launch = ["torch.distributed.run", "--nproc-per-node=2", f"--master-port={free_port()}"]
    command = ["corarec", "train", str(path), "--output", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", *launch, "-m", *command],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.count("error: ") == 1, done.stderr
