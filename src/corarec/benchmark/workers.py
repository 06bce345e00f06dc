"""Several processes that do the jobs of a suite, each in the order of what it needs."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from corarec.benchmark.jobs import Job
from corarec.text import printable

THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)
"""What libraries take their number of threads from."""
DEVICES = "CUDA_VISIBLE_DEVICES"
_START = (
    "import json, sys; sys.path[:], sys.argv[:] = json.loads(sys.argv[1]); "
    "from corarec.benchmark.worker import main; main()"
)
_SECONDS_TO_END = 10.0
_SECONDS_OF_WAIT = 0.3
_LINES_SHOWN = 3

Show = Callable[[str, dict[str, Any]], None]
"""Hears the label of a job and a message of it: `{}` at its begin, `{"ended": why}` at its end."""


@dataclass(frozen=True)
class Task:
    """A job and what must be done before it."""

    job: Job
    needs: tuple[Path, ...] = ()
    """Folders of other jobs; one that is no folder of a job counts as done."""


@dataclass(frozen=True)
class Failure:
    """A job that was not done."""

    label: str
    reason: str


class Workers:
    """A number of places, each of which runs one process at a time.

    Parameters
    ----------
    count
        How many processes run at a time.
    logs
        Folder for what they print, a file per job.
    devices
        GPUs to share among them, by number or name; none are shared for a single worker, which
        sees them all.
    cpus
        How many CPUs to share among them; by default all that this process may use.
    """

    def __init__(
        self,
        count: int,
        logs: Path,
        devices: Sequence[str] = (),
        cpus: int | None = None,
        show: Show = lambda label, message: None,
    ) -> None:
        self._logs = logs
        self._show = show
        self._told = threading.Lock()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._stopped = threading.Event()
        self._count = count
        self._places: SimpleQueue[int] = SimpleQueue()
        for place in range(count):
            self._places.put(place)
        self.environments = [
            environment(place, count, devices, cpus or usable_cpus()) for place in range(count)
        ]

    def run(self, tasks: Iterable[Task]) -> list[Failure]:
        """Do all tasks, each after what it needs, and return those that were not done.

        What needs a job that failed is not begun. Where this is interrupted, every process is
        stopped first; what they had done is kept.
        """
        waiting = list(tasks)
        open_folders = {task.job.folder for task in waiting}
        failed: dict[Path, str] = {}
        failures: list[Failure] = []
        going: dict[Future[str | None], Task] = {}
        with ThreadPoolExecutor(self._count) as threads:
            try:
                while waiting or going:
                    for task in list(waiting):
                        if missing := [each for each in task.needs if each in failed]:
                            waiting.remove(task)
                            cause = f"not begun, because {failed[missing[0]]} failed"
                            failures.append(Failure(task.job.label, cause))
                            failed[task.job.folder] = task.job.label
                            self._tell(task.job.label, {"ended": cause})
                        elif len(going) < self._count and not open_folders & set(task.needs):
                            waiting.remove(task)
                            going[threads.submit(self._do, task.job)] = task
                    if not going:
                        continue  # what was waiting for a failed job is taken out above
                    # Not for ever: Ctrl-C that another thread received is only seen between waits.
                    done, _ = wait(going, _SECONDS_OF_WAIT, FIRST_COMPLETED)
                    for each in done:
                        task = going.pop(each)
                        open_folders.discard(task.job.folder)
                        reason = each.result()
                        if reason is not None:
                            failures.append(Failure(task.job.label, reason))
                            failed[task.job.folder] = task.job.label
            except BaseException:
                self._stop()
                raise
        return failures

    def _do(self, job: Job) -> str | None:
        """Run a job in a process; return why it failed, None where it did not."""
        place = self._places.get()
        try:
            return self._in_place(job, place)
        finally:
            self._places.put(place)

    def _in_place(self, job: Job, place: int) -> str | None:
        self._tell(job.label, {})
        self._logs.mkdir(parents=True, exist_ok=True)
        path = self._logs / f"{job.folder.name}.log"
        error = ""
        with path.open("ab") as log:
            begin = log.tell()
            with self._told:
                if self._stopped.is_set():
                    return "stopped"
                process = subprocess.Popen(
                    # What was typed goes on, too: looks at the test split are logged with it.
                    [sys.executable, "-c", _START, json.dumps([sys.path, sys.argv])],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self.environments[place],
                )
                self._running[place] = process
            assert process.stdin is not None
            assert process.stdout is not None
            with suppress(OSError):  # where it ended before it read its job, its status tells
                # Held open until the end: when it closes, however that comes, the process ends.
                process.stdin.write(job.model_dump_json().encode() + b"\n")
                process.stdin.flush()
            for line in process.stdout:
                with suppress(ValueError):  # a line that was cut off
                    message = json.loads(line)
                    error = message.get("error", error)
                    if "error" not in message:
                        self._tell(job.label, message)
            status = process.wait()
            with suppress(OSError):
                process.stdin.close()
            process.stdout.close()
            self._running.pop(place, None)
        if status == 0:
            if path.stat().st_size == 0:
                path.unlink()
            self._tell(job.label, {"ended": ""})
            return None
        reason = error or _unexplained(status, path, begin)
        self._tell(job.label, {"ended": reason})
        return reason

    def _tell(self, label: str, message: dict[str, Any]) -> None:
        with self._told:
            if not self._stopped.is_set():
                self._show(label, message)

    def _stop(self) -> None:
        with self._told:
            self._stopped.set()
            running = list(self._running.values())
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                process.kill()


def environment(place: int, count: int, devices: Sequence[str], cpus: int) -> dict[str, str]:
    """Return the environment of a worker: its share of the CPUs, and its GPU.

    A number of threads that the user set is kept where it is smaller than the share. That of
    OpenMP holds for the libraries without one of their own, too: torch takes MKL's before it.
    """
    values = dict(os.environ)
    share = _threads(values, THREADS[0], max(1, cpus // count))
    values |= {name: str(_threads(values, name, share)) for name in THREADS}
    if count > 1 and devices:
        values[DEVICES] = devices[place % len(devices)]
    return values


def _threads(values: Mapping[str, str], name: str, share: int) -> int:
    given = values.get(name, "")
    return min(int(given), share) if given.isdecimal() and int(given) > 0 else share


def usable_cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_devices() -> list[str]:
    """Return the GPUs that torch would use, by number or name; none without any."""
    given = os.environ.get(DEVICES)
    if given is not None:
        names = [name.strip() for name in given.split(",")]
        return [name for name in names if name and name != "-1"]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def _unexplained(status: int, log: Path, begin: int) -> str:
    """Say how a process ended that could not say so itself."""
    how = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
    with log.open("rb") as stream:
        stream.seek(begin)
        lines = stream.read()[-10_000:].decode("utf-8", "replace").strip().splitlines()
    last = " / ".join(printable(line, 200) for line in lines[-_LINES_SHOWN:])
    memory = " (out of memory, perhaps)" if status == -9 else ""
    return f"its process {how}{memory}; {log} has what it said" + (f": {last}" if last else "")
