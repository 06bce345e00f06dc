"""`corarec benchmark`, with processes of its own."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from corarec.benchmark.benchmark import tasks_of
from corarec.benchmark.plan import Planner
from corarec.benchmark.results import read_results
from corarec.benchmark.suite_reading import load_suite
from corarec.benchmark.test_log import read_test_evaluations
from corarec.cli.benchmarking import numbers
from corarec.errors import ConfigError
from corarec.locks import LOCK, locked

from .conftest import corarec

ROOT = Path(__file__).parents[2]


@pytest.fixture
def suite(recipe: dict[str, Any], tmp_path: Path) -> Path:
    """Write a suite of two rows that train a text system for some steps."""
    system = {"name": "tallrec", "backbone": recipe["system"]["backbone"], "targets": ["q_proj"]}
    train = recipe["train"] | {"steps": 4, "validate_every": 1}
    values = {"data": recipe["data"], "system": system, "train": train}
    (tmp_path / "text.yaml").write_text(yaml.safe_dump(values))
    other = {"recipe": "text.yaml", "set": ["system.rank=2"]}
    rows = {"One": {"recipe": "text.yaml"}, "Two": other}
    path = tmp_path / "suite.yaml"
    path.write_text(
        yaml.safe_dump({"systems": rows, "split": "test", "comparisons": [["One", "Two"]]})
    )
    return path


def weights(folder: Path) -> dict[str, bytes]:
    return {
        path.parent.parent.name: path.read_bytes() for path in folder.glob("*/best/*.safetensors")
    }


def results(runs: Path) -> dict[str, Any]:
    """Return the results without what differs from time to time and from place to place."""
    found: dict[str, Any] = json.loads((runs / "suite" / "results.json").read_text())
    for row in found["rows"].values():
        row["runs"] = [
            {name: run[name] for name in ("seed", "folder", "recipe", "steps")}
            for run in row["runs"]
        ]
    return {name: value for name, value in found.items() if name not in ("hours", "provenance")}


@pytest.mark.slow
def test_killed_at_any_moment_and_with_more_workers_it_ends_the_same(
    suite: Path, tmp_path: Path, capsys: Any
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    few = ["--draws", "20"]
    assert corarec("benchmark", suite, "--runs", whole, *few) == 0
    capsys.readouterr()
    command = [sys.executable, "-m", "corarec", "benchmark", str(suite), "--runs", str(parts)]
    killed = subprocess.Popen([*command, *few], stderr=subprocess.DEVNULL)
    begun = parts / "suite" / "one-0" / "checkpoints"
    deadline = time.monotonic() + 200
    while not list(begun.glob("checkpoint-*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert not (parts / "suite" / "one-0" / "results").exists()
    assert corarec("benchmark", suite, "--runs", parts, "--dry-run", "--format", "json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert [run["state"] for run in plan["runs"]][1] == "to do"
    # The worker of the killed command ends by itself, and frees its run.
    assert corarec("benchmark", suite, "--runs", parts, *few, "--workers", "2") == 0
    assert weights(parts / "suite") == weights(whole / "suite")
    assert len(weights(parts / "suite")) == 2
    assert results(parts) == results(whole)

    runs = [file for file in (parts / "suite").glob("*-0/**/*") if file.is_file()]
    before = {file: file.stat().st_mtime_ns for file in runs}
    capsys.readouterr()
    assert corarec("benchmark", suite, "--runs", parts, *few, "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["suite"] == "suite"
    assert {file: file.stat().st_mtime_ns for file in runs} == before
    assert sorted(path.name for path in (parts / "suite").glob("results.*")) == [
        "results.json",
        "results.md",
        "results.parquet",
        "results.tex",
    ]

    # A run of another recipe is refused by name, and nothing is overwritten.
    (tmp_path / "text.yaml").write_text((tmp_path / "text.yaml").read_text() + "seed: 0\n")
    values = yaml.safe_load(suite.read_text())
    values["systems"]["Two"]["set"] = ["system.rank=4"]
    suite.write_text(yaml.safe_dump(values))
    for option in ("--dry-run", "--table-only", "--workers=2"):
        assert corarec("benchmark", suite, "--runs", parts, option) == 1
        assert (
            "two-0 holds a run of another recipe: system.rank (2 there, 4"
            in capsys.readouterr().err
        )
    assert {file: file.stat().st_mtime_ns for file in runs} == before


@pytest.mark.slow
def test_an_interrupt_stops_all_workers_and_says_how_to_go_on(suite: Path, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    values = yaml.safe_load(suite.read_text())
    suite.write_text(yaml.safe_dump(values | {"set": ["train.steps=100000"]}))
    command = [sys.executable, "-m", "corarec", "benchmark", str(suite), "--workers", "2"]
    started = subprocess.Popen(
        [*command, "--runs", str(runs)], stderr=subprocess.PIPE, text=True, process_group=0
    )
    deadline = time.monotonic() + 200
    while len(list(runs.glob("suite/*/best"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    started.send_signal(signal.SIGINT)
    _, said = started.communicate(timeout=60)
    assert started.returncode == 130
    assert said.rstrip().endswith("stopped. The same command goes on where it was.")
    assert corarec("benchmark", suite, "--runs", runs, "--dry-run") == 0
    for name in ("one-0", "two-0"):  # nobody holds them any more
        with locked(runs / "suite" / name / LOCK, "it"):
            pass


@pytest.mark.slow
def test_a_run_that_fails_is_told_at_the_end_and_the_others_are_done(
    suite: Path, tmp_path: Path, capsys: Any
) -> None:
    values = yaml.safe_load(suite.read_text())
    missing = str(tmp_path / "no-model")
    values["systems"]["Two"]["set"] = [f"system.backbone.model={missing}"]
    suite.write_text(yaml.safe_dump(values))
    runs = tmp_path / "runs"
    assert corarec("benchmark", suite, "--runs", runs, "--workers", "2", "--draws", "20") == 1
    captured = capsys.readouterr()
    assert "1 of the jobs failed:" in captured.err
    assert "Two, seed 0: " in captured.err
    assert "no-model" in captured.err
    assert "not run yet: Two." in captured.err
    assert "One" in captured.out
    assert (runs / "suite" / "results.md").exists()
    assert "no-model" in (runs / "suite" / "logs" / "two-0.log").read_text()
    (look,) = read_test_evaluations(runs / "suite" / "one-0")
    assert look.command.startswith(f"corarec benchmark {suite} --runs")
    # One of two workers does what this process does.
    planner = Planner(load_suite(suite), tmp_path / "here", "suite")
    (job,) = [task.job for task in tasks_of(planner.plan(["One"]), planner.suite)]
    job.do(lambda record: None)
    assert len(weights(planner.home)) == 1
    assert weights(planner.home) == weights(runs / "suite")
    assert read_results(job.folder, "test") == read_results(runs / "suite" / "one-0", "test")


def test_what_is_wrong_with_the_command_is_told(suite: Path, tmp_path: Path, capsys: Any) -> None:
    runs = tmp_path / "runs"
    for arguments, message in (
        (["--seeds", "0,x"], "--seeds is '0,x'; wanted are whole numbers such as 0,1,2."),
        (["--seeds", "1,1"], "1 stands there twice"),
        (["--only", "Onee"], "--only: there is no row 'Onee'. Did you mean 'One'?"),
        (["--dry-run", "--table-only"], "exclude each other"),
        (["--table-only"], "No run of the suite was evaluated on test"),
    ):
        assert corarec("benchmark", suite, "--runs", runs, *arguments) == 1
        assert message in capsys.readouterr().err
    assert corarec("benchmark", suite, "--workers", "0") == 2
    assert corarec("benchmark", suite, "--runs", runs, "--dry-run", "--seeds", "3") == 0
    out = capsys.readouterr().out
    assert f"to do        {runs / 'suite' / 'one-3'}  (One, seed 3)" in out
    assert "0 of 2 runs are done." in out
    assert not runs.exists()


def test_seeds_are_whole_numbers() -> None:
    assert numbers(None) is None
    assert numbers("0, 12") == [0, 12]
    for text in ("", "1,", "-1", "1.5", "²"):
        with pytest.raises(ConfigError, match="wanted are whole numbers"):
            numbers(text)


SUITES = sorted((ROOT / "benchmarks" / "suites").glob("*.yaml"))


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_suite_that_ships_can_be_planned(
    path: Path, small_world_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """On another dataset at the place of its own, from a folder with the recipes beside."""
    monkeypatch.chdir(tmp_path)
    for name in ("recipes", "benchmarks"):
        (tmp_path / name).symlink_to(ROOT / name)
    recipes = "".join(each.read_text("utf-8") for each in (ROOT / "recipes").rglob("*.yaml"))
    for name in set(re.findall(r"data/([\w-]+)", recipes + path.read_text("utf-8"))):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).symlink_to(small_world_path)
    assert corarec("benchmark", f"benchmarks/suites/{path.name}", "--dry-run") == 0
    assert "runs are done." in capsys.readouterr().out
