import subprocess
import sys
from pathlib import Path

import pytest

from corarec.serve.metrics import FOLDER_VARIABLE, Metrics

COUNTS = """
import sys
from corarec.serve.metrics import Metrics

metrics = Metrics()
metrics.refused.inc(2)
metrics.queue_requests.set(5)
metrics.ready.set(int(sys.argv[1]))
print(metrics.text().decode())
"""


def counted(folder: Path, ready: int) -> str:
    """Count in a process of its own, which ends, and return what it told."""
    command = [sys.executable, "-c", COUNTS, str(ready)]
    env = {FOLDER_VARIABLE: str(folder), "PYTHONPATH": ":".join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout


def test_processes_count_together_and_one_that_ended_says_no_more_how_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = counted(tmp_path, 0)
    assert "corarec_ready 0.0" in first
    second = counted(tmp_path, 1)
    assert "corarec_queue_refused_total 4.0" in second
    assert "corarec_queue_requests 5.0" in second
    assert "corarec_ready 1.0" in second
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert b"corarec_ready" not in Metrics().text()
