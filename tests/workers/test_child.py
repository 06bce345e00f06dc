"""The process that does a job, as the one that started it sees it."""

import json
import signal
import subprocess
import sys
import time


def test_a_worker_ends_when_its_parent_is_killed() -> None:
    """The worker itself, with a job that waits."""
    code = (
        "import os, sys, threading, time\n"
        "from corarec.workers import child\n"
        "def wait(text, tell, asked):\n"
        "    tell({'pid': os.getpid()}); time.sleep(120)\n"
        "child._do = wait\n"
        "child.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"{}\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline()) == {"pid": process.pid}
    process.send_signal(signal.SIGINT)  # which is its parent's to act on
    time.sleep(0.2)
    assert process.poll() is None
    process.stdin.close()  # as the system does when the parent ends
    assert process.wait(30) != 0
    process.stdout.close()
