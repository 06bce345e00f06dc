import json
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from corarec.benchmark import jobs
from corarec.benchmark.benchmark import tasks_of
from corarec.benchmark.jobs import FitJob
from corarec.benchmark.suite_reading import load_suite
from corarec.cf import fit_cf
from corarec.cf.identity import IDENTITY_FILE
from corarec.errors import ConfigError, InUseError
from corarec.locks import lock_beside, locked
from corarec.train.metrics import Record

from .conftest import MakeSuite
from .planning import do_all, planner, states


def test_nothing_is_done_at_first_and_all_in_the_end(make_suite: MakeSuite, tmp_path: Path) -> None:
    rows = {"CoRA": {}, "Other": {"set": ["system.rank=1"]}}
    path, runs = make_suite(rows, seeds=[0, 1]), tmp_path / "runs"
    plan = planner(path, runs).plan()
    assert [(run.folder.name, run.state) for run in plan.runs] == [
        ("cora-0", "to do"),
        ("other-0", "to do"),
        ("cora-1", "to do"),
        ("other-1", "to do"),
    ]
    assert len(plan.cf) == 2  # one per seed, not per row
    assert not runs.exists()
    tasks = [task.job.folder.name for task in tasks_of(plan, load_suite(path))]
    assert [name.split("-")[0] for name in tasks] == ["mf", "cora", "other"] * 2
    path = make_suite(rows)
    do_all(path, runs)
    assert set(states(path, runs).values()) == {"done"}
    before = {file: file.stat().st_mtime_ns for file in runs.rglob("*") if file.is_file()}
    do_all(path, runs)
    assert {file: file.stat().st_mtime_ns for file in runs.rglob("*") if file.is_file()} == before
    # Where the shared CF models are gone nothing that is done needs them.
    shutil.rmtree(runs / "suite" / "cf")
    assert tasks_of(planner(path, runs).plan(), load_suite(path)) == []


def test_what_was_stopped_goes_on_and_ends_as_if_it_had_not(
    make_suite: MakeSuite, tmp_path: Path
) -> None:
    path = make_suite({"Text": {"recipe": "tallrec.yaml"}})
    do_all(path, tmp_path / "whole")
    plan = planner(path, tmp_path / "parts").plan()
    (task,) = tasks_of(plan, load_suite(path))

    class StoppedError(Exception):
        pass

    def stop(record: Record) -> None:
        if record.get("step") == 2 and "train_loss" not in record:
            raise StoppedError

    with pytest.raises(StoppedError):
        task.job.do(stop)
    assert states(path, tmp_path / "parts") == {"text-0": "to go on"}
    # Results of weights that are not the last count for nothing.
    results = tmp_path / "parts" / "suite" / "text-0" / "results"
    results.mkdir()
    for name in ("valid.json", "valid.parquet"):
        (results / name).write_text("of earlier weights")
    do_all(path, tmp_path / "parts")
    one, other = (
        (tmp_path / way / "suite" / "text-0" / "results" / "valid.json").read_text()
        for way in ("whole", "parts")
    )
    assert one == other
    shutil.rmtree(results)
    assert states(path, tmp_path / "parts") == {"text-0": "to evaluate"}


def test_only_some_rows_can_be_run(make_suite: MakeSuite, tmp_path: Path) -> None:
    path = make_suite({"A": {}, "B": {}, "C": {"beside": "A | mf-b alone"}})
    assert states(path, tmp_path, only=["B"]) == {"b-0": "to do"}
    for name in ("D", "C"):
        with pytest.raises(ConfigError, match=rf"--only: there is no row '{name}'.*Rows: A, B"):
            planner(path, tmp_path).plan(only=[name])


def test_a_column_that_will_not_be_there_is_told_before_any_work(
    make_suite: MakeSuite, tmp_path: Path
) -> None:
    for values in (
        {"comparisons": [["A", "A | mf alone"]]},
        {"against": "A | mf alone"},
    ):
        with pytest.raises(ConfigError, match="is not evaluated beside 'A'.*mf-b alone"):
            planner(make_suite({"A": {}}, **values), tmp_path).plan()
    path = make_suite({"A": {}, "B": {"beside": "A | mf alone"}})
    with pytest.raises(ConfigError, match="is not evaluated beside 'A'.*mf-b alone"):
        planner(path, tmp_path).plan()


def test_all_mistakes_of_recipes_are_told_at_once(make_suite: MakeSuite, tmp_path: Path) -> None:
    rows = {"A": {"set": ["system.rnk=1"]}, "B": {}, "C": {"set": ["train.steps=-1"]}}
    with pytest.raises(ConfigError) as error:
        planner(make_suite(rows, seeds=[0, 1]), tmp_path).plan()
    assert str(error.value).count("mistake:") == 2
    assert "A: " in str(error.value)
    assert "C: " in str(error.value)


@pytest.fixture
def two_phases(recipe: dict[str, Any], make_suite: MakeSuite, tmp_path: Path) -> None:
    """Write the recipe of a system whose first phase is that of a text row."""
    system = {"name": "collm", "backbone": recipe["system"]["backbone"], "targets": ["q_proj"]}
    text = {"template": "{history}: {title}?"}
    phases = [
        {"name": "text", "parameters": ["lora"], "prompt": text},
        {"name": "ids", "parameters": ["mapping"]},
    ]
    train = recipe["train"] | {"steps": 2, "validate_every": 1, "phases": phases}
    values = recipe | {"system": system, "train": train}
    (tmp_path / "collm.yaml").write_text(yaml.safe_dump(values))


def test_a_phase_is_shared_with_another_row(
    two_phases: None, make_suite: MakeSuite, tmp_path: Path
) -> None:
    rows = {
        "CoLLM": {"recipe": "collm.yaml", "init_from": {"row": "Text"}},
        "Text": {"recipe": "tallrec.yaml"},
    }
    path, runs = make_suite(rows, seeds=[0, 1]), tmp_path / "runs"
    assert list(states(path, runs, only=["CoLLM"])) == ["text-0", "collm-0", "text-1", "collm-1"]
    path = make_suite(rows, seeds=[1])
    plan = planner(path, runs).plan()
    phases = plan.runs[1].config.train.phases
    assert [(phase.name, phase.init_from) for phase in phases] == [
        ("ids", str((runs / "suite" / "text-1").resolve()))
    ]
    do_all(path, runs)
    log = [json.loads(x) for x in (runs / "suite/collm-1/metrics.jsonl").read_text().splitlines()]
    assert {record["phase"] for record in log} == {"ids"}
    start = runs / "suite" / "collm-1" / "phases" / "1-ids" / "start"
    weights = "adapter_model.safetensors"
    assert next(iter(start.rglob(weights))).read_bytes() == (
        next(iter((runs / "suite" / "text-1" / "best").rglob(weights))).read_bytes()
    )
    assert set(states(path, runs).values()) == {"done"}
    shutil.rmtree(runs / "suite" / "text-1")
    assert states(path, runs, only=["CoLLM"]) == {"collm-1": "done"}


@pytest.mark.parametrize(
    ("recipe_name", "given", "message"),
    [
        ("collm.yaml", {"instead_of": "ids"}, r"no phase 'ids' with another after it; .*text, ids"),
        ("collm.yaml", {"instead_of": "txt"}, "no phase 'txt'"),
        ("cora.yaml", {}, "the phases of the recipe: none"),
    ],
)
def test_a_phase_that_cannot_be_shared_is_told(
    recipe_name: str,
    given: dict[str, str],
    message: str,
    two_phases: None,
    make_suite: MakeSuite,
    tmp_path: Path,
) -> None:
    start = {"row": "Text"} | given
    rows = {"A": {"recipe": recipe_name, "init_from": start}, "Text": {"recipe": "tallrec.yaml"}}
    with pytest.raises(ConfigError, match=message):
        planner(make_suite(rows), tmp_path / "runs").plan()


def test_a_run_that_another_command_makes_is_left_to_it(
    make_suite: MakeSuite, tmp_path: Path
) -> None:
    path, runs = make_suite({"Text": {"recipe": "tallrec.yaml"}}), tmp_path / "runs"
    (task,) = tasks_of(planner(path, runs).plan(), load_suite(path))
    folder = task.job.folder
    with (
        locked(lock_beside(folder), f"The run {folder}"),
        pytest.raises(InUseError, match=r"The run .*text-0 is in use: process \d+"),
    ):
        task.job.do(lambda record: None)
    assert not folder.exists()
    # What the other one did meanwhile is not done again.
    task.job.do(lambda record: None)
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}
    task.job.do(lambda record: None)
    assert {f: f.stat().st_mtime_ns for f in folder.rglob("*") if f.is_file()} == before


def test_a_cf_model_that_another_command_fits_is_waited_for(
    make_suite: MakeSuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, runs = make_suite({"CoRA": {}}), tmp_path / "runs"
    fits = [
        task.job
        for command in range(2)
        for task in tasks_of(planner(path, runs).plan(), load_suite(path))
        if isinstance(task.job, FitJob)
    ]
    begun, fitted = threading.Event(), list[int]()

    def slowly(*args: Any, **options: Any) -> Any:
        begun.set()
        time.sleep(0.2)
        fitted.append(1)
        return fit_cf(*args, **options)

    monkeypatch.setattr(jobs, "fit_cf", slowly)
    first = threading.Thread(target=fits[0].do, args=(lambda record: None,))
    first.start()
    assert begun.wait(30)
    fits[1].do(lambda record: None)
    first.join(30)
    assert len(fitted) == 1
    assert (fits[1].folder / IDENTITY_FILE).exists()
