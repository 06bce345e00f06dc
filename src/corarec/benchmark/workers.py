"""Several processes that do the jobs of a suite, each in the order of what it needs."""

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from corarec.benchmark.jobs import SuiteJob
from corarec.workers.environment import environment, usable_cpus
from corarec.workers.process import Process

_SECONDS_OF_WAIT = 0.3

Show = Callable[[str, dict[str, Any]], None]
"""Hears the label of a job and a message of it: `{}` at its begin, `{"ended": why}` at its end."""


@dataclass(frozen=True)
class Task:
    """A job and what must be done before it."""

    job: SuiteJob
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
        self._running: dict[int, Process] = {}
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

    def _do(self, job: SuiteJob) -> str | None:
        """Run a job in a process; return why it failed, None where it did not."""
        place = self._places.get()
        try:
            return self._in_place(job, place)
        finally:
            self._places.put(place)

    def _in_place(self, job: SuiteJob, place: int) -> str | None:
        self._tell(job.label, {})
        with self._told:
            if self._stopped.is_set():
                return "stopped"
            log = self._logs / f"{job.folder.name}.log"
            process = self._running[place] = Process(job, log, self.environments[place])
        for message in process.messages():
            self._tell(job.label, message)
        reason = process.end()
        self._running.pop(place, None)
        self._tell(job.label, {"ended": reason or ""})
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
            process.kill()
