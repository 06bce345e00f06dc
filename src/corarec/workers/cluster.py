"""The pieces of a work by actors of a Ray cluster, which may end at any moment with their node."""

import socket
import sys
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from typing import Any

from corarec.errors import ConfigError
from corarec.extras import needs
from corarec.text import printable
from corarec.workers.environment import threads
from corarec.workers.jobs import read, written
from corarec.workers.pieces import OpenWork, Work, packed, remarks_told
from corarec.workers.process import error_message

_SECONDS_OF_WAIT = 0.5


class RayCrew:
    """Actors of a Ray cluster, each with its share of the CPUs and GPUs.

    What the work reads must lie at the same path on every node.

    Parameters
    ----------
    count
        How many actors; those for which there is no room yet begin when there is.
    address
        Of the cluster: `auto`, HOST:PORT or ray://HOST:PORT.

    Raises
    ------
    ConfigError
        Ray is not installed, or no cluster answers.
    """

    def __init__(self, work: Work, count: int, address: str) -> None:
        with needs("ray"):
            import ray
        self.count = count
        self._ray = ray
        self._closing = ExitStack()
        # Ray tells of dead actors on the standard output, where results go.
        self._closing.enter_context(redirect_stdout(sys.stderr))
        self._ours = not ray.is_initialized()
        if self._ours:
            try:
                ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            except (OSError, ValueError, RuntimeError) as error:
                self._closing.close()
                raise ConfigError(
                    f"No Ray cluster can be used at {address!r} ({printable(error, 300)}). Start "
                    "one with `ray start --head`, or give the address that it printed."
                ) from error
        self._text = written(work)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus = cpus_each([int(node.get("CPU", 0)) for node in nodes], count)
        gpus = sum(node.get("GPU", 0) for node in nodes)
        self._actor = ray.remote(
            num_cpus=cpus,
            num_gpus=min(1, gpus / count),
            max_restarts=0,
            runtime_env={"env_vars": threads(cpus)},
        )(RayWorker)
        self._actors: dict[int, Any] = {}
        self._going: dict[Any, int] = {}
        self._heard: deque[tuple[int, dict[str, Any]]] = deque()

    def start(self, place: int) -> None:
        """Start an actor."""
        self._actors[place] = self._actor.remote(self._text, sys.path)
        self._going[self._actors[place].open.remote()] = place

    def ask(self, place: int, number: int) -> None:
        """Let the actor at a place do a piece."""
        self._going[self._actors[place].piece.remote(number)] = place

    def hear(self) -> tuple[int, dict[str, Any]]:
        """Wait for a message of any place."""
        while not self._heard:
            # Not for ever: Ctrl-C is only seen between waits.
            done, _ = self._ray.wait(list(self._going), timeout=_SECONDS_OF_WAIT)
            for each in done:
                place = self._going.pop(each)
                try:
                    messages = self._ray.get(each)
                except self._ray.exceptions.RayError as error:
                    messages = [{"died": f"its actor ended ({printable(error, 300)})"}]
                self._heard.extend((place, message) for message in messages)
        return self._heard.popleft()

    def close(self) -> None:
        """End every actor."""
        for actor in self._actors.values():
            self._ray.kill(actor)
        if self._ours:
            self._ray.shutdown()
        self._closing.close()


class RayWorker:
    """What an actor does; each answer is a list of messages."""

    def __init__(self, work: str, paths: Sequence[str]) -> None:
        sys.path.extend(path for path in paths if path not in sys.path)
        self._text = work
        self._work: OpenWork | None = None

    def open(self) -> list[dict[str, Any]]:
        """Open the work."""
        return self._told(self._opened)

    def piece(self, number: int) -> list[dict[str, Any]]:
        """Do a piece."""
        return self._told(lambda: self._done(number))

    def _opened(self) -> dict[str, Any]:
        self._work = read(self._text).open()
        return {"ready": True}

    def _done(self, number: int) -> dict[str, Any]:
        assert self._work is not None, "it is opened first"
        return {"piece": number, **packed(self._work.piece(number, lambda count: None))}

    def _told(self, do: Any) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = []
        try:
            with remarks_told(messages.append):
                messages.append(do())
        except Exception as error:
            told = error_message(error)
            where = f" (On {socket.gethostname()}: what is read lies at one path on every node.)"
            messages.append(told | {"error": told["error"] + where})
        return messages


def cpus_each(nodes: Sequence[int], count: int) -> int:
    """Return the most CPUs that each of so many actors can have on nodes with these, at least 1.

    Raises
    ------
    ConfigError
        No node has a CPU.
    """
    if not any(nodes):
        raise ConfigError("The Ray cluster has no CPU for actors. Start its nodes with CPUs.")
    return next(
        (each for each in range(max(nodes), 0, -1) if sum(cpus // each for cpus in nodes) >= count),
        1,
    )
