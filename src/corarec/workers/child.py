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
from collections.abc import Iterator
from queue import SimpleQueue
from typing import Any

END = b"\n"


def main() -> None:
    """Do the job; end with status 1, and the error as the last message, where it cannot be done."""
    # Ctrl-C in a terminal reaches every process; the one that started this one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = os.dup(1)
    os.dup2(2, 1)  # what libraries print goes to the log

    def tell(message: dict[str, Any]) -> None:
        text = json.dumps(message).encode() + END
        while text:
            text = text[os.write(told, text) :]

    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    try:
        _do(lines.get(), tell, _asked(lines))
    except Exception as error:
        import traceback

        from corarec.workers.process import error_message

        traceback.print_exc()
        tell(error_message(error))
        sys.exit(1)


def _do(job_text: bytes, tell: Any, asked: Iterator[Any]) -> None:
    from corarec.workers.jobs import read_job

    warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")
    read_job(job_text).do(tell, asked)


def _asked(lines: "SimpleQueue[bytes]") -> Iterator[Any]:
    """Yield what the other end asks for, until it asks for nothing more (null)."""
    while (value := json.loads(lines.get())) is not None:
        yield value


def _listen(lines: "SimpleQueue[bytes]") -> None:
    """Pass on every line; end the process at once when the other end closes, however it ended.

    What a job writes can bear that at any moment.
    """
    text = b""
    while block := os.read(0, 1 << 16):
        *whole, text = (text + block).split(END)
        for line in whole:
            lines.put(line)
    os._exit(128 + signal.SIGTERM)
