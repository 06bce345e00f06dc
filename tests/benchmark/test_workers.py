"""Processes and their order, with jobs that only sleep or fail."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from corarec.benchmark.jobs import FitJob
from corarec.benchmark.workers import Task, Workers
from corarec.cf import FitConfig
from corarec.workers import environment as variables
from corarec.workers import process as module
from corarec.workers.environment import environment

# Stands in for the worker: `data` says what to do. It ends with its parent, as the worker does.
SCRIPT = """
import json, os, sys, threading, time
from pathlib import Path
job = b""
while not job.endswith(b"\\n"):
    job += os.read(0, 1 << 16)
threading.Thread(target=lambda: (os.read(0, 1), os._exit(9)), daemon=True).start()
job = json.loads(job)["values"]
folder, verb = Path(job["folder"]), job["data"]
with open(folder.parent / "order", "a") as order:
    order.write(f"begin {folder.name}\\n")
if verb == "fail":
    print(json.dumps({"error": "no luck"})), sys.exit(1)
if verb == "die":
    print("what happened", file=sys.stderr, flush=True)
    print('{"cut o', flush=True)
    os.kill(os.getpid(), 9)
if verb == "sleep":
    time.sleep(60)
if verb == "meet":
    (folder.parent / f"{folder.name}.here").touch()
    while len(list(folder.parent.glob("*.here"))) < 2:
        time.sleep(0.01)
names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
print(json.dumps({"env": [os.environ.get(name) for name in names]}))
with open(folder.parent / "order", "a") as order:
    order.write(f"end {folder.name}\\n")
"""


@pytest.fixture(autouse=True)
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_START", SCRIPT)
    for name in variables.THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv(variables.DEVICES, raising=False)


def task(folder: Path, name: str, verb: str = "go", needs: tuple[str, ...] = ()) -> Task:
    job = FitJob(
        label=f"job {name}",
        folder=folder / name,
        data=Path(verb),
        choice=FitConfig(model="rates"),
        seed=0,
    )
    return Task(job, tuple(folder / each for each in needs))


def order(folder: Path) -> list[str]:
    return (folder / "order").read_text().splitlines()


def test_what_is_needed_is_done_first(tmp_path: Path) -> None:
    tasks = [task(tmp_path, "c", needs=("b", "elsewhere")), task(tmp_path, "b", needs=("a",))]
    tasks.append(task(tmp_path, "a"))
    assert Workers(3, tmp_path / "logs").run(tasks) == []
    assert order(tmp_path) == ["begin a", "end a", "begin b", "end b", "begin c", "end c"]


def test_two_workers_work_at_a_time_and_one_does_not(tmp_path: Path) -> None:
    # Each waits for the other one to have begun.
    meeting = [task(tmp_path, "a", "meet"), task(tmp_path, "b", "meet")]
    assert Workers(2, tmp_path / "logs").run(meeting) == []
    (tmp_path / "order").unlink()
    assert Workers(1, tmp_path / "logs").run([task(tmp_path, "a"), task(tmp_path, "b")]) == []
    assert order(tmp_path) == ["begin a", "end a", "begin b", "end b"]


def test_a_failing_job_stops_no_other_but_those_that_need_it(tmp_path: Path) -> None:
    told: list[tuple[str, dict[str, Any]]] = []
    tasks = [
        task(tmp_path, "a", "fail"),
        task(tmp_path, "b", needs=("a",)),
        task(tmp_path, "c", needs=("b",)),
        task(tmp_path, "d", "die"),
        task(tmp_path, "e"),
    ]
    workers = Workers(
        1, tmp_path / "logs", show=lambda label, message: told.append((label, message))
    )
    failures = workers.run(tasks)
    reasons = {each.label: each.reason for each in failures}
    assert reasons["job a"] == "no luck"
    assert reasons["job b"] == "not begun, because job a failed"
    assert reasons["job c"] == "not begun, because job b failed"
    assert "ended by signal 9 (out of memory, perhaps)" in reasons["job d"]
    assert "d.log has what it said: what happened" in reasons["job d"]
    assert len(reasons) == 4
    assert order(tmp_path) == ["begin a", "begin d", "begin e", "end e"]
    assert ("job e", {"ended": ""}) in told
    assert ("job a", {"ended": "no luck"}) in told
    assert not (tmp_path / "logs" / "e.log").exists()


def test_an_interrupt_ends_every_process(tmp_path: Path) -> None:
    class Interrupted(BaseException):
        pass

    workers = Workers(2, tmp_path / "logs")

    def show(label: str, message: dict[str, Any]) -> None:
        if label == "job quick" and message.get("ended") == "":
            raise Interrupted

    workers._show = show
    started = time.monotonic()
    with pytest.raises(Interrupted):
        workers.run([task(tmp_path, "long", "sleep"), task(tmp_path, "quick")])
    assert time.monotonic() - started < 30
    assert "end quick" in order(tmp_path)
    assert "end long" not in order(tmp_path)


def test_ctrl_c_is_seen_while_nothing_else_happens(tmp_path: Path) -> None:
    def interrupt() -> None:
        while not (tmp_path / "order").exists() or len(order(tmp_path)) < 2:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=interrupt, daemon=True)
    sender.start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Workers(2, tmp_path / "logs").run([task(tmp_path, name, "sleep") for name in "ab"])
    sender.join(5)
    assert time.monotonic() - started < 40
    assert all(line.startswith("begin") for line in order(tmp_path))


def test_every_worker_has_its_share_of_the_cores_and_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, Any] = {}

    def show(label: str, message: dict[str, Any]) -> None:
        if "env" in message:
            found[label] = message["env"]

    workers = Workers(2, tmp_path / "logs", ["3", "GPU-x"], cpus=7, show=show)
    workers.run([task(tmp_path, "a", "meet"), task(tmp_path, "b", "meet")])
    assert sorted(found.values()) == [["3", "3"], ["3", "GPU-x"]]
    assert environment(2, 3, ["0", "1"], 1)["CUDA_VISIBLE_DEVICES"] == "0"
    assert environment(0, 3, [], 1)["OMP_NUM_THREADS"] == "1"
    assert "CUDA_VISIBLE_DEVICES" not in environment(0, 1, ["0", "1"], 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert environment(0, 1, [], 8)["OMP_NUM_THREADS"] == "2"
    assert environment(0, 1, [], 8)["MKL_NUM_THREADS"] == "2", "torch takes it before OpenMP's"
    assert environment(0, 8, [], 8)["OMP_NUM_THREADS"] == "1"
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert environment(0, 2, [], 8)["OMP_NUM_THREADS"] == "4"
