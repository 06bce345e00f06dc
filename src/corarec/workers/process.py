"""A process of one's own that does a job: the end of the one that started it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from corarec import errors
from corarec.system_errors import system_message
from corarec.text import printable
from corarec.workers.jobs import Job, written

_START = (
    "import json, sys; sys.path[:], sys.argv[:] = json.loads(sys.argv[1]); "
    "from corarec.workers.child import main; main()"
)
_SECONDS_TO_END = 10.0
_LINES_SHOWN = 3


class Process:
    """A process that does one job and ends, or ends with the process that started it.

    Parameters
    ----------
    log
        File to which what it prints is added.
    environment
        Its environment variables.
    """

    def __init__(self, job: Job, log: Path, environment: Mapping[str, str]) -> None:
        self._log = log
        self.error: dict[str, str] = {}
        """What it told of why it could not do its job."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            self._begin = stream.tell()
            self._process = subprocess.Popen(
                # What was typed goes on, too: looks at the test split are logged with it.
                [sys.executable, "-c", _START, json.dumps([sys.path, sys.argv])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env=environment,
            )
        self._send(written(job))

    @property
    def number(self) -> int:
        """The number that the system gave to it."""
        return self._process.pid

    def ask(self, value: Any) -> None:
        """Ask for something; None: for nothing more."""
        self._send(json.dumps(value))

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield what it tells until it ends."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with suppress(ValueError):  # a line that was cut off
                message = json.loads(line)
                if "error" in message:
                    self.error = message
                else:
                    yield message

    def end(self) -> str | None:
        """Wait until it ends; return why it did not do its job, None where it did."""
        process = self._process
        status = process.wait()
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            with suppress(OSError):
                stream.close()
        if status == 0:
            with suppress(OSError):
                if self._log.stat().st_size == 0:
                    self._log.unlink()
            return None
        return self.error.get("error") or _unexplained(status, self._log, self._begin)

    def terminate(self) -> None:
        """Ask it to end at once."""
        self._process.terminate()

    def kill(self) -> None:
        """End it if it does not end by itself, soon after it was asked to."""
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _send(self, text: str) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # where it has ended, its status tells
            # Held open until the end: when it closes, however that comes, the process ends.
            self._process.stdin.write(text.encode() + b"\n")
            self._process.stdin.flush()


def error_message(error: Exception) -> dict[str, str]:
    """Return what a process tells of an error that ended its job."""
    known = str(error) if isinstance(error, errors.CorarecError) else system_message(error)
    return {"error": known or f"{type(error).__name__}: {error}", "class": type(error).__name__}


def told_error(message: Mapping[str, str]) -> errors.CorarecError:
    """Return the error of which another process told, of the same class where that is ours."""
    kind = getattr(errors, message.get("class", ""), None)
    if isinstance(kind, type) and issubclass(kind, errors.CorarecError):
        return kind(message["error"])
    return errors.CorarecError(message["error"])


def _unexplained(status: int, log: Path, begin: int) -> str:
    """Say how a process ended that could not say so itself."""
    how = f"ended by signal {-status}" if status < 0 else f"ended with status {status}"
    try:
        with log.open("rb") as stream:
            stream.seek(begin)
            lines = stream.read()[-10_000:].decode("utf-8", "replace").strip().splitlines()
    except OSError:
        lines = []
    last = " / ".join(printable(line, 200) for line in lines[-_LINES_SHOWN:])
    memory = " (out of memory, perhaps)" if status == -9 else ""
    return f"its process {how}{memory}; {log} has what it said" + (f": {last}" if last else "")
