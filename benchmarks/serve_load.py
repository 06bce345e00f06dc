"""What a service answers under load, beside what its scorer does offline.

    python benchmarks/serve_load.py runs/cora-mf-b --seconds 30

1, 8 and 64 clients one after the other, each asking for the scores of a few random pairs and then
for the next as soon as it has them; all on the loopback address. The offline rate is that of the
same scorer on such pairs, taken between the loads: each is held against the mean of the one before
and the one after it, so that a machine that is busier for a while moves both. At last a
service with a short queue gets more than it can hold: what it answers then, and how soon it answers
again when that is over.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]

from corarec.files import write_json
from corarec.provenance import provenance
from corarec.runs import Run, load_run

RESULT = Path(__file__).parent / "results" / "serve_load.json"
CLIENTS = (1, 8, 64)
START_SECONDS = 300
SHORT_QUEUE = 16


class Service:
    """`corarec serve` as a process."""

    def __init__(self, run: Path, folder: Path, *options: str) -> None:
        store = folder / f"store-{time.monotonic_ns()}.sqlite"
        command = [sys.executable, "-m", "corarec", "serve", str(run), "--port", "0", *options]
        self.process = subprocess.Popen(
            [*command, "--store", f"sqlite:///{store}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        address = self.process.stdout.readline().decode().split("http://")[1].strip()
        host, _, port = address.partition(":")
        self.host, self.port = host, int(port)

    def __enter__(self) -> "Service":
        """Wait until it is ready."""
        until = time.monotonic() + START_SECONDS
        while asyncio.run(self.get("/health/ready"))[0] != 200:
            if time.monotonic() > until or self.process.poll() is not None:
                self.process.kill()
                raise RuntimeError("the service did not become ready")
            time.sleep(0.2)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)

    def memory(self) -> float:
        """Return its resident memory in megabytes."""
        return float(psutil.Process(self.process.pid).memory_info().rss / 1e6)

    async def get(self, path: str) -> tuple[int, bytes]:
        """Ask once."""
        return await (await Client.to(self)).ask(request("GET", path))


class Client:
    """A connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def to(cls, service: Service) -> "Client":
        """Connect."""
        return cls(*await asyncio.open_connection(service.host, service.port))

    async def ask(self, message: bytes) -> tuple[int, bytes]:
        """Send a request and return the status and the body of its answer."""
        self._writer.write(message)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return int(head.split(b" ", 2)[1]), await self._reader.readexactly(length)


def request(method: str, path: str, body: bytes = b"") -> bytes:
    """Return a request as it goes over the wire."""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def requests(run: Run, pairs: int, count: int) -> list[bytes]:
    """Return requests for the scores of random pairs."""
    users, items = run.knowledge.users.raw_ids, run.knowledge.catalogue.vocabulary.raw_ids
    return [
        request(
            "POST",
            "/v1/score",
            json.dumps(
                {
                    "pairs": [
                        {"user": random.choice(users), "item": random.choice(items)}
                        for _ in range(pairs)
                    ]
                }
            ).encode(),
        )
        for _ in range(count)
    ]


async def load(
    service: Service, messages: Sequence[bytes], clients: int, seconds: float
) -> tuple[list[float], Counter[int]]:
    """Let clients ask for some time; return the seconds of each answer and their statuses."""
    taken: list[float] = []
    statuses: Counter[int] = Counter()
    until = time.monotonic() + seconds

    async def one() -> None:
        client = await Client.to(service)
        while time.monotonic() < until:
            started = time.monotonic()
            status, _ = await client.ask(random.choice(messages))
            statuses[status] += 1
            if status == 200:
                taken.append(time.monotonic() - started)

    await asyncio.gather(*(one() for _ in range(clients)))
    return taken, statuses


def offline(run: Run, seconds: float) -> float:
    """Return how many pairs a second the scorer scores."""
    users = np.random.default_rng(0).integers(1, run.knowledge.num_users + 1, 512)
    items = np.random.default_rng(1).integers(1, run.knowledge.catalogue.num_items + 1, 512)
    pairs = run.directory.pairs(users, items)
    run.scorer.score(pairs.take(slice(0, 64)))
    started, scored = time.monotonic(), 0
    while time.monotonic() - started < seconds:
        run.scorer.score(pairs)
        scored += len(pairs)
    return scored / (time.monotonic() - started)


def overload(run_folder: Path, folder: Path, messages: Sequence[bytes]) -> dict[str, Any]:
    """Return what a short queue answers to too many clients, and how soon it answers again."""
    with Service(run_folder, folder, "--set", f"queue_requests={SHORT_QUEUE}") as service:
        _, statuses = asyncio.run(load(service, messages, 4 * SHORT_QUEUE, 5))
        started = time.monotonic()
        while True:
            _, after = asyncio.run(load(service, messages, 1, 0.01))
            if after[200]:
                break
        return {
            "queue_requests": SHORT_QUEUE,
            "clients": 4 * SHORT_QUEUE,
            "statuses": {str(status): count for status, count in sorted(statuses.items())},
            "seconds_to_an_answer_after": round(time.monotonic() - started, 3),
        }


def main() -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    random.seed(0)
    run = load_run(given.run)
    messages = requests(run, given.pairs, 500)
    rates = [offline(run, given.seconds / 4)]
    rows = []
    with tempfile.TemporaryDirectory() as name:
        with Service(given.run, Path(name)) as service:
            asyncio.run(load(service, messages, 8, 3))  # the first ones warm it up
            for clients in given.clients:
                before = service.memory()
                taken, statuses = asyncio.run(load(service, messages, clients, given.seconds))
                p50, p95, p99 = (1000 * np.quantile(taken, q) for q in (0.5, 0.95, 0.99))
                rows.append(
                    {
                        "clients": clients,
                        "requests_per_second": round(len(taken) / given.seconds, 2),
                        "pairs_per_second": round(given.pairs * len(taken) / given.seconds, 1),
                        "milliseconds": {
                            "p50": round(float(p50), 1),
                            "p95": round(float(p95), 1),
                            "p99": round(float(p99), 1),
                        },
                        "statuses": {str(k): v for k, v in sorted(statuses.items())},
                        "megabytes_before_and_after": [round(before), round(service.memory())],
                    }
                )
                rates.append(offline(run, given.seconds / 4))
                beside = float(np.mean(rates[-2:]))
                rows[-1]["share_of_offline"] = round(
                    float(rows[-1]["pairs_per_second"]) / beside, 3
                )
                print(json.dumps(rows[-1]))
        flood = overload(given.run, Path(name), messages)
    result = {
        "run": given.run.name,
        "pairs_per_request": given.pairs,
        "seconds": given.seconds,
        "threads": os.environ.get("OMP_NUM_THREADS", "torch's choice"),
        "offline_pairs_per_second": [round(each, 1) for each in rates],
        "load": rows,
        "beyond_the_queue": flood,
        "provenance": provenance({"run": run.config}),
    }
    write_json(given.output, result)
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
