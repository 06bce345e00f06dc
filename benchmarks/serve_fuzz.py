"""Requests made of the OpenAPI document, good and bad ones: none is answered with a 5xx.

    pip install schemathesis
    python benchmarks/serve_fuzz.py RUN --cases 150

So many cases of each route and phase by Schemathesis, against a service on the loopback address.
What was answered is read from the service's own counters.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections import Counter
from pathlib import Path

from corarec.files import write_json
from corarec.provenance import provenance
from corarec.runs import load_run
from serve_faults import start  # type: ignore[import-not-found]

RESULT = Path(__file__).parent / "results" / "serve_fuzz.json"
COUNTED = re.compile(r'^corarec_requests_total\{.*route="([^"]+)",status="(\w+)"\} (\S+)$', re.M)


def main() -> int:
    """Fuzz and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--cases", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        process, port = start(given.run, f"sqlite:///{folder}/store.sqlite", log)
        url = f"http://127.0.0.1:{port}"
        command = [
            *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json"),
            *("--max-examples", str(given.cases), "--seed", str(given.seed)),
            *("--checks", "not_a_server_error", "--mode", "all", "--continue-on-failure"),
            *("--phases", "examples,coverage,fuzzing", "--no-color"),
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        print(ran.stdout[-3_000:], ran.stderr[-2_000:])
        with urllib.request.urlopen(f"{url}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        process.terminate()
        process.wait()
        lines = [line for line in log.read_text("utf-8").splitlines() if '"traceback"' in line]
        print("\n".join(lines[-5:]))
    statuses: Counter[str] = Counter()
    broken: Counter[str] = Counter()
    for route, status, count in COUNTED.findall(text):
        statuses[status] += int(float(count))
        # Not ready yet, before the first case.
        if status.startswith("5") and route != "/health/ready":
            broken[f"{status} {route}"] += int(float(count))
    result = {
        "cases": sum(statuses.values()),
        "statuses": dict(sorted(statuses.items())),
        "answers_5xx": dict(broken),
        "exit_status_of_schemathesis": ran.returncode,
        "provenance": provenance({"run": load_run(given.run).config}),
    }
    write_json(given.output, result)
    print(json.dumps(result, indent=2))
    return int(bool(broken))


if __name__ == "__main__":
    sys.exit(main())
