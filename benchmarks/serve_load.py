"""What a service answers under load, beside what its scorer does offline.

    python benchmarks/serve_load.py runs/cora-mf-b --seconds 30

1, 8 and 64 clients one after the other, each asking for the scores of a few random pairs and then
for the next as soon as it has them; all on the loopback address. The offline rate is that of the
same scorer on such pairs, taken between the loads: each is held against the mean of the one before
and the one after it, so that a machine that is busier for a while moves both. At last a
service with a short queue gets more than it can hold: what it answers then, and how soon it answers
again when that is over.

    python benchmarks/serve_load.py --catalogue 100000

instead makes a dataset of so many items with a run that is hardly trained, and asks one thing after
the other: how long each takes, the start too, and how much memory the service has.
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
import polars as pl
import psutil  # type: ignore[import-untyped]

from corarec.data import PrepareConfig, prepare
from corarec.files import write_json
from corarec.provenance import provenance
from corarec.runs import Run, load_run
from corarec.starter import quickstart_config
from corarec.train import train_run

RESULT = Path(__file__).parent / "results" / "serve_load.json"
CATALOGUE = RESULT.with_name("serve_catalogue.json")
CLIENTS = (1, 8, 64)
START_SECONDS = 300
SHORT_QUEUE = 16
USERS = 2_000
WORDS = [
    "silent",
    "golden",
    "last",
    "crimson",
    "paper",
    "iron",
    "river",
    "harbor",
    "mirror",
    "signal",
]
ASKED: dict[str, tuple[str, str, dict[str, Any] | None]] = {
    "recommend, a user": ("GET", "/v1/recommend?user=u7", None),
    "recommend, somebody new": ("POST", "/v1/recommend", {"liked": ["i3", "i5"]}),
    "recommend, by genre": (
        "POST",
        "/v1/recommend",
        {"user": "u7", "filter": {"where": {"genres": "War"}}},
    ),
    "search, a word": ("GET", "/v1/items?q=golden", None),
    "search, mistyped": ("GET", "/v1/items?q=glodn+harbr", None),
    "search, nothing like it": ("GET", "/v1/items?q=zzzzqqqqxxxx", None),
    "why": ("POST", "/v1/rank", {"user": "u7", "items": ["i9"], "explain": True}),
    "page: home": ("GET", "/", None),
    "page: a person": ("GET", "/person?user=u7", None),
    "page: a person, beside text": ("GET", "/person?user=u7&beside=text", None),
    "page: somebody new": ("GET", "/new?liked=i3", None),
    "tell a like": ("POST", "/v1/feedback", {"user": "u7", "item": "i8", "kind": "like"}),
    "add an item": ("POST", "/v1/items", {"item": "new", "title": "The Quiet Comet (2031)"}),
    "recommend after an item came": ("GET", "/v1/recommend?user=u7", None),
}
ROUNDS = 5
"""In the first of them what is computed once and kept is computed."""


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


def large_run(items: int, folder: Path) -> Path:
    """Make a dataset in which each item was met, and a run of two steps; return the run."""
    generator = np.random.default_rng(0)
    words = generator.choice(WORDS, (items, 3))
    years = generator.integers(1950, 2020, items)
    titles = [
        f"{' '.join(three).title()} {number} ({year})"
        for number, (three, year) in enumerate(zip(words.tolist(), years.tolist(), strict=True))
    ]
    genres = generator.choice(["Drama", "Comedy", "War"], items)
    ids = [f"i{number}" for number in range(items)]
    pl.DataFrame({"item": ids, "title": titles, "genres": genres}).write_parquet(
        folder / "items.parquet"
    )
    # Each once, and as often again with a few that everybody meets.
    met = np.concatenate([np.arange(items), (items * generator.random(items) ** 2).astype(int)])
    users = generator.integers(0, USERS, len(met))
    rows = {
        "user": [f"u{user}" for user in users],
        "item": [f"i{item}" for item in met],
        "rating": generator.integers(1, 6, len(met)),
        "timestamp": generator.integers(1_500_000_000, 1_600_000_000, len(met)),
    }
    pl.DataFrame(rows).unique(["user", "item"]).write_parquet(folder / "rows.parquet")
    options = {"interactions": "rows.parquet", "items": "items.parquet"}
    config = PrepareConfig(
        source="table",
        input=folder,
        output=folder / "data",
        split="temporal",
        source_options=options,
    )
    prepare(config)
    recipe = quickstart_config(folder / "data")
    few = {"steps": 2, "validate_every": 2, "warmup_steps": 0, "validation_rows": 20}
    recipe = recipe.model_copy(update={"train": recipe.train.model_copy(update=few)})
    train_run(recipe, folder / "run")
    return folder / "run"


async def asked(service: Service, method: str, path: str, body: Any) -> float:
    """Return the seconds of one answer."""
    sent = request(method, path, b"" if body is None else json.dumps(body).encode())
    client = await Client.to(service)
    started = time.monotonic()
    status, answer = await client.ask(sent)
    if status != 200:
        raise RuntimeError(f"{method} {path} got {status}: {answer[:300]!r}")
    return time.monotonic() - started


def catalogue(items: int, folder: Path) -> dict[str, Any]:
    """Return what a catalogue of so many items costs."""
    run = large_run(items, folder)
    started = time.monotonic()
    with Service(run, folder) as service:
        ready = time.monotonic() - started
        at_first = service.memory()
        seconds: dict[str, list[float]] = {name: [] for name in ASKED}
        for number in range(ROUNDS):
            for name, (method, path, body) in ASKED.items():
                own = {**(body or {}), "item": f"new-{number}"} if "add" in name else body
                seconds[name].append(asyncio.run(asked(service, method, path, own)))
        return {
            "items": items,
            "threads": os.environ.get("OMP_NUM_THREADS", "torch's choice"),
            "seconds_to_ready": round(ready, 1),
            "megabytes_when_ready_and_after": [round(at_first), round(service.memory())],
            "seconds": {
                name: {"first": round(each[0], 3), "median": round(float(np.median(each)), 3)}
                for name, each in seconds.items()
            },
            "provenance": provenance({"run": load_run(run).config}),
        }


def main() -> int:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--catalogue", type=int, metavar="ITEMS")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--clients", type=int, nargs="+", default=CLIENTS)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    if (given.run is None) == (given.catalogue is None):
        parser.error("give either a run or --catalogue")
    random.seed(0)
    if given.catalogue is not None:
        with tempfile.TemporaryDirectory() as name:
            found = catalogue(given.catalogue, Path(name))
        write_json(given.output or CATALOGUE, found)
        print(json.dumps(found, indent=2))
        return 0
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
    write_json(given.output or RESULT, result)
    print(json.dumps(result, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
