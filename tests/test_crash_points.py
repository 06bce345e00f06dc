import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_training_that_is_killed_at_an_event_goes_on_to_the_same_files() -> None:
    command = [sys.executable, "benchmarks/crash_points.py", "--python", "--points", "3"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert '"points": 3' in run.stdout
    assert '"not the same": []' in run.stdout
