"""A service killed in the middle of writes, again and again: what it acknowledged is there, once.

    python benchmarks/serve_faults.py RUN --kills 20

Clients send feedback without a pause, each event again until it is acknowledged, some of them
twice on purpose; at a random moment the process gets SIGKILL and is started anew on the same store.
"""

import argparse
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from corarec.files import write_json
from corarec.provenance import provenance
from corarec.runs import load_run
from corarec.serve.opening import open_store

RESULT = Path(__file__).parent / "results" / "serve_faults.json"
CLIENTS = 8


def start(run: Path, store: str, log: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start the service; return it and its port when it is ready."""
    command = [sys.executable, "-m", "corarec", "serve", str(run), "--port", "0"]
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [*command, "--store", store], stdout=subprocess.PIPE, stderr=errors
        )
    assert process.stdout is not None
    port = int(process.stdout.readline().decode().rsplit(":", 1)[1])
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return process, port
        except (OSError, http.client.HTTPException):
            pass
        if process.poll() is not None:
            raise RuntimeError("the service ended before it was ready")
        time.sleep(0.1)


class Teller(threading.Thread):
    """A client that tells one event after the other and remembers what was acknowledged."""

    def __init__(self, name: str, item: str) -> None:
        super().__init__(daemon=True)
        self.user, self._item = name, item
        self.port = 0
        self.acknowledged: set[int] = set()
        self.statuses: Counter[int] = Counter()
        self.over = False

    def run(self) -> None:
        """Tell until it is over."""
        when = 0
        while not self.over:
            event = {"user": self.user, "item": self._item, "kind": "like", "time": when}
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                headers = {"content-type": "application/json"}
                for _ in range(1 + (random.random() < 0.2)):
                    connection.request("POST", "/v1/feedback", json.dumps(event), headers)
                    answer = connection.getresponse()
                    answer.read()
                    self.statuses[answer.status] += 1
                    if answer.status == 200:
                        self.acknowledged.add(when)
                when += 1
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)  # killed, or not there yet: the same event again


def main() -> int:
    """Kill, count and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    random.seed(0)
    run = load_run(given.run)
    item = run.knowledge.catalogue.vocabulary.raw_ids[0]
    tellers = [Teller(f"teller-{number}", item) for number in range(CLIENTS)]
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/store.sqlite"
        for kill in range(given.kills):
            process, port = start(given.run, url, Path(folder) / "log")
            for teller in tellers:
                teller.port = port
                if not teller.is_alive():
                    teller.start()
            time.sleep(random.uniform(0.2, 2.5))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            print(f"kill {kill + 1}: {sum(len(t.acknowledged) for t in tellers)} acknowledged")
        for teller in tellers:
            teller.over = True
        for teller in tellers:
            teller.join(60)
        store = open_store(url)
        found = Counter((row["user"], row["time"]) for row in store.export())
        store.close()
    acknowledged = {(teller.user, when) for teller in tellers for when in teller.acknowledged}
    statuses = sum((teller.statuses for teller in tellers), Counter[int]())
    result = {
        "kills": given.kills,
        "clients": CLIENTS,
        "acknowledged": len(acknowledged),
        "lost": len(acknowledged - found.keys()),
        "doubled": sum(count > 1 for count in found.values()),
        "in_the_store": len(found),
        "statuses": {str(status): count for status, count in sorted(statuses.items())},
        "provenance": provenance({"run": run.config}),
    }
    write_json(given.output, result)
    print(json.dumps(result, indent=2))
    return int(result["lost"] != 0 or result["doubled"] != 0)


if __name__ == "__main__":
    sys.exit(main())
