"""What a process of its own runs: one job, read from the standard input, told on the output.

Nothing heavy is imported before `main`, so that the number of threads, which libraries read when
they are loaded, is what the environment says.
"""

import json
import os
import signal
import sys
import threading
import warnings
from typing import Any

END = b"\n"


def main() -> None:
    """Do the job; end with status 1, and the error as the last message, where it cannot be done."""
    # Ctrl-C in a terminal reaches every process; the one that started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = os.dup(1)
    os.dup2(2, 1)  # what libraries print goes to the log

    def tell(message: dict[str, Any]) -> None:
        os.write(told, json.dumps(message).encode() + END)

    job_text = _line()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        _do(job_text, tell)
    except Exception as error:
        import traceback

        from corarec.errors import CorarecError
        from corarec.system_errors import system_message

        traceback.print_exc()
        known = str(error) if isinstance(error, CorarecError) else system_message(error)
        tell({"error": known or f"{type(error).__name__}: {error}"})
        sys.exit(1)


def _do(job_text: bytes, tell: Any) -> None:
    from pydantic import TypeAdapter

    from corarec.benchmark.jobs import Job

    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
    job: Job = TypeAdapter(Job).validate_json(job_text)
    job.do(tell)


def _line() -> bytes:
    text = b""
    while not text.endswith(END):
        read = os.read(0, 1 << 16)
        if not read:
            sys.exit("the job was cut off")
        text += read
    return text


def _end_with_parent() -> None:
    """End at once when the other end of the input is closed, however its process ended.

    What a job writes can bear that at any moment.
    """
    while os.read(0, 1 << 10):
        pass
    os._exit(128 + signal.SIGTERM)
