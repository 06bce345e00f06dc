"""Who does the pieces of a work: this process, several on this machine, or a cluster."""

from collections.abc import Callable, Sequence
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Annotated, Any

from pydantic import Field

from corarec.types import Config
from corarec.workers.environment import environment, usable_cpus, visible_devices
from corarec.workers.jobs import written
from corarec.workers.pieces import Crew, PiecesJob, Work
from corarec.workers.process import Process

MOST_WORKERS = 256
_SECONDS_OF_WAIT = 0.3


class Hands(Config):
    """How many do a work, and where."""

    workers: Annotated[int, Field(ge=1, le=MOST_WORKERS)] = 1
    """Processes, each with its share of the cores; 1: this process."""
    ray: str | None = None
    """Address of a Ray cluster that does it, `auto` for the one of this machine."""

    @property
    def here(self) -> bool:
        """Whether this process does it."""
        return self.workers == 1 and self.ray is None

    def crew(self, work: Work, logs: Path) -> Callable[[], Crew]:
        """Return what makes the crew that does a work; what processes print goes to `logs`."""
        if self.ray is not None:
            from corarec.workers.cluster import RayCrew

            address = self.ray
            return lambda: RayCrew(work, self.workers, address)
        return lambda: LocalCrew(work, self.workers, logs, visible_devices())


HERE = Hands()


class LocalCrew:
    """Processes of this machine, each with its share of the cores.

    Parameters
    ----------
    logs
        Folder for what they print, a file per place.
    devices
        GPUs to share among them, by number or name.
    cpus
        How many CPUs to share among them; by default all that this process may use.
    """

    def __init__(
        self,
        work: Work,
        count: int,
        logs: Path,
        devices: Sequence[str] = (),
        cpus: int | None = None,
    ) -> None:
        self.count = count
        self._job = PiecesJob(label="pieces", work=written(work))
        self._logs = logs
        self._environments = [
            environment(place, count, devices, cpus or usable_cpus()) for place in range(count)
        ]
        self._heard: Queue[tuple[int, dict[str, Any]]] = Queue()
        self._processes: dict[int, Process] = {}

    def start(self, place: int) -> None:
        """Start a process."""
        process = Process(self._job, self._logs / f"{place}.log", self._environments[place])
        self._processes[place] = process
        Thread(target=self._listen, args=(place, process), daemon=True).start()

    def ask(self, place: int, number: int) -> None:
        """Let the process at a place do a piece."""
        self._processes[place].ask(number)

    def hear(self) -> tuple[int, dict[str, Any]]:
        """Wait for a message of any place."""
        while True:
            try:
                # Not for ever: Ctrl-C is only seen between waits.
                return self._heard.get(timeout=_SECONDS_OF_WAIT)
            except Empty:
                continue

    def close(self) -> None:
        """End every process."""
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            process.kill()

    def processes(self) -> dict[int, int]:
        """Return the number that the system gave to the process at each place."""
        return {place: process.number for place, process in self._processes.items()}

    def _listen(self, place: int, process: Process) -> None:
        for message in process.messages():
            self._heard.put((place, message))
        reason = process.end()
        self._heard.put((place, process.error or {"died": reason or "it ended by itself"}))
