"""The memory of a service under load that goes on, minute by minute.

    python benchmarks/serve_soak.py runs/cora-mf-b --minutes 30

Some clients on the loopback address ask for scores of one to sixteen pairs, ranks of titles that
nobody knows, recommendations to users and to somebody new, tell feedback, add items, remove them
and forget people, each as soon as the last was answered. How much memory there is after each minute
is in the result; so is by how much it rose a minute over the second half, by least squares.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from corarec.files import write_json
from corarec.provenance import provenance
from corarec.runs import Run, load_run
from serve_load import Client, Service, request  # type: ignore[import-not-found]

RESULT = Path(__file__).parent / "results" / "serve_soak.json"
NEW_PEOPLE, NEW_ITEMS = 300, 100


class Visitors:
    """Makes up what comes next."""

    def __init__(self, run: Run, seed: int) -> None:
        self._random = random.Random(seed)
        self._users = run.knowledge.users.raw_ids
        self._items = run.knowledge.catalogue.vocabulary.raw_ids
        self._titles = run.knowledge.catalogue.titles[1:]

    def next(self) -> bytes:
        """Return a request."""
        kinds = (self._score, self._rank, self._recommend, self._tell, self._add, self._go)
        (make,) = self._random.choices(kinds, (40, 10, 5, 40, 3, 2))
        method, path, body = make()
        return bytes(request(method, path, json.dumps(body).encode() if body else b""))

    def _user(self) -> str:
        if self._random.random() < 0.2:
            return f"new-{self._random.randrange(NEW_PEOPLE)}"
        return self._random.choice(self._users)

    def _score(self) -> tuple[str, str, Any]:
        count = self._random.randint(1, 16)
        pairs = [{"user": self._user(), "item": self._pick()} for _ in range(count)]
        return "POST", "/v1/score", {"pairs": pairs}

    def _rank(self) -> tuple[str, str, Any]:
        words = " ".join(self._random.choices(self._titles, k=self._random.randint(1, 3)))
        titles = [f"{words[: self._random.randint(1, 80)].strip() or 'A'} {n}" for n in range(4)]
        return "POST", "/v1/rank", {"user": self._user(), "titles": titles}

    def _recommend(self) -> tuple[str, str, Any]:
        many = {"k": 5, "candidates": self._random.randint(5, 40)}
        if self._random.random() < 0.5:
            return "POST", "/v1/recommend", {"user": self._user(), **many}
        liked = self._random.sample(self._titles, self._random.randint(1, 12))
        return "POST", "/v1/recommend", {"liked": liked, "diversity": 0.3, **many}

    def _tell(self) -> tuple[str, str, Any]:
        kind = self._random.choice(("like", "dislike", "seen"))
        return "POST", "/v1/feedback", {"user": self._user(), "item": self._pick(), "kind": kind}

    def _add(self) -> tuple[str, str, Any]:
        name = f"item-{self._random.randrange(NEW_ITEMS)}"
        if self._random.random() < 0.4:
            return "DELETE", f"/v1/items/{name}", None
        title = f"{self._random.choice(self._titles)} {self._random.randrange(10**6)}"
        return "POST", "/v1/items", {"item": name, "title": title}

    def _go(self) -> tuple[str, str, Any]:
        return "DELETE", f"/v1/users/new-{self._random.randrange(NEW_PEOPLE)}", None

    def _pick(self) -> str:
        return self._random.choice(self._items)


async def visit(service: Service, visitors: Visitors, until: float, told: Counter[int]) -> None:
    """Ask until the time is over, one request after the other."""
    client = await Client.to(service)
    while time.monotonic() < until:
        status, _ = await client.ask(visitors.next())
        told[status] += 1


def main() -> int:
    """Measure and write the result after each minute."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--output", type=Path, default=RESULT)
    given = parser.parse_args()
    run = load_run(given.run)
    about = provenance({"run": run.config})
    statuses: Counter[int] = Counter()
    megabytes: list[int] = []
    rates: list[int] = []

    async def load(service: Service) -> None:
        until = time.monotonic() + 60
        people = (Visitors(run, 1_000 * len(megabytes) + n) for n in range(given.clients))
        await asyncio.gather(*(visit(service, each, until, statuses) for each in people))

    with (
        tempfile.TemporaryDirectory() as name,
        Service(given.run, Path(name), "--set", "threads=1") as service,
    ):
        megabytes.append(round(service.memory()))
        for _ in range(given.minutes):
            before = statuses.total()
            asyncio.run(load(service))
            megabytes.append(round(service.memory()))
            rates.append(statuses.total() - before)
            second = megabytes[len(megabytes) // 2 :]
            slope = np.polyfit(np.arange(len(second)), second, 1)[0] if len(second) > 1 else 0.0
            result = {
                "run": given.run.name,
                "clients": given.clients,
                "cores_beside_others": os.cpu_count(),
                "minutes": len(rates),
                "requests_each_minute": rates,
                "statuses": {str(status): count for status, count in sorted(statuses.items())},
                "megabytes_each_minute": megabytes,
                "megabytes_per_minute_in_the_second_half": round(float(slope), 2),
                "provenance": about,
            }
            write_json(given.output, result)
            print(len(rates), megabytes[-1], rates[-1], flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
