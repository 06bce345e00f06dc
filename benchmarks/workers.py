"""What several processes give: the same bits though they are killed, and their speed.

    python benchmarks/workers.py kills
    python benchmarks/workers.py speed runs/cora-mf-b

`kills` trains a run of a made-up world, scores a table with two processes, random ones of which are
ended by SIGKILL at random moments, and holds each result against that of one process left alone.
Most of a run is the start of its processes, which read torch and transformers: the moments are
spread over as long as a run takes that is left alone, so that some fall into work.
`speed` scores the same pieces of a run's validation part by two processes of one thread and by one
of two, in turn, and holds their scores against each other.
"""

import argparse
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console

from corarec.data import PrepareConfig, prepare
from corarec.files import read_json, write_json
from corarec.provenance import provenance
from corarec.recipe import RunConfig
from corarec.runs import Run, load_run
from corarec.runs.work import SplitWork
from corarec.testing.language import save_tiny_backbone
from corarec.train import train_run
from corarec.workers import crews
from corarec.workers.crews import Hands, LocalCrew
from corarec.workers.environment import THREADS

RESULT = Path(__file__).parent / "results" / "workers.json"
PAIRS = 1_000
MOST_KILLS = 3
PIECES = 2


class Watched(LocalCrew):
    """A crew whose processes are known to whoever ends them."""

    last: "Watched | None" = None
    started = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        Watched.last = self

    def start(self, place: int) -> None:
        """Count the processes."""
        Watched.started += 1
        super().start(place)


def tiny_run(folder: Path) -> Run:
    """Train a run of a made-up world around a language model of two layers."""
    size = {"num_users": 60, "num_items": 50, "interactions_per_user": 20}
    data, model = folder / "world", folder / "model"
    prepare(PrepareConfig(source="synthetic", output=data, split="published", source_options=size))
    save_tiny_backbone(model)
    recipe = {
        "data": str(data),
        "cf": {"model": "mf-b", "options": {"embedding_size": 4, "max_epochs": 2}},
        "system": {"name": "cora", "backbone": {"model": str(model)}, "rank": 2},
        "train": {"steps": 2, "batch_size": 8, "validate_every": 2, "validation_rows": 50},
    }
    train_run(RunConfig.parse(recipe, "the benchmark"), folder / "run")
    return load_run(folder / "run")


def kills(folder: Path, runs: int, console: Console) -> Iterator[dict[str, Any]]:
    """Score a table so many times while processes are killed; yield what was found so far."""
    run = tiny_run(folder)
    random = np.random.default_rng(0)
    users, items = run.knowledge.users.raw_ids, run.knowledge.catalogue.vocabulary.raw_ids
    table = {"user": random.choice(users, PAIRS), "item": random.choice(items, PAIRS)}
    pairs, one = folder / "pairs.parquet", folder / "one.parquet"
    pl.DataFrame(table).write_parquet(pairs)
    run.score_file(pairs, one)
    bare = load_run(folder / "run", system=False)
    begun = time.perf_counter()
    bare.score_file(pairs, folder / "two.parquet", hands=Hands(workers=2))
    span = time.perf_counter() - begun
    crews.LocalCrew = Watched  # type: ignore[misc, assignment]
    killed, same = 0, 0
    for number in range(runs):
        Watched.last = None
        done, count = threading.Event(), [0]
        moments = np.random.default_rng(number)
        killer = threading.Thread(target=_kill, args=(moments, span, done, count))
        killer.start()
        output = folder / f"{number}.parquet"
        rows = bare.score_file(pairs, output, hands=Hands(workers=2))
        done.set()
        killer.join()
        killed += count[0]
        same += rows == PAIRS and output.read_bytes() == one.read_bytes()
        console.print(f"run {number}: {count[0]} killed, same bits in {same} of {number + 1}")
        yield {
            "runs": number + 1,
            "pairs": PAIRS,
            "killed": killed,
            "processes_started": Watched.started,
            "same_bits": same,
            "seconds": round(time.perf_counter() - begun),
        }


def _kill(
    random: np.random.Generator, span: float, done: threading.Event, count: list[int]
) -> None:
    """End a random process now and then, until there are enough or the run is done."""
    while count[0] < MOST_KILLS and not done.wait(random.uniform(0, span)):
        if Watched.last is not None and (alive := list(Watched.last.processes().values())):
            try:
                os.kill(int(random.choice(alive)), signal.SIGKILL)
            except ProcessLookupError:
                continue
            count[0] += 1


def speed(folder: Path, rounds: int, console: Console) -> Iterator[dict[str, Any]]:
    """Time the same pieces by two crews in turn; the least seconds of each count."""
    run = load_run(folder, system=False)
    work = SplitWork(run=run.place, rows=len(run.dataset.rows("valid")), split="valid")
    numbers = list(range(min(2 * PIECES, work.count)))
    kinds = {"2 processes of 1 thread": 2, "1 process of 2 threads": 1}
    for name in THREADS:
        os.environ.pop(name, None)
    seconds = dict.fromkeys(kinds, np.inf)
    found: dict[str, dict[int, Any]] = {}
    with tempfile.TemporaryDirectory() as logs:
        made = {
            name: LocalCrew(work, count, Path(logs) / str(count), cpus=2)
            for name, count in kinds.items()
        }
        for name, crew in made.items():
            for place in range(crew.count):
                crew.start(place)
            for _ in range(crew.count):
                _heard(crew, "ready")
            found[name] = _timed(crew, numbers[: crew.count])[1]  # what the first pass costs
        for number in range(rounds):
            for name, crew in made.items():
                taken, found[name] = _timed(crew, numbers)
                seconds[name] = min(seconds[name], taken)
                console.print(f"round {number}: {name} {taken:.1f} s")
        for crew in made.values():
            crew.close()
    one, two = found.values()
    yield {
        "pairs": sum(work.size(number) for number in numbers),
        "rounds": rounds,
        "seconds": {name: round(value, 2) for name, value in seconds.items()},
        "same_bits": one == two,
    }


def _timed(crew: LocalCrew, numbers: list[int]) -> tuple[float, dict[int, Any]]:
    left = list(numbers)
    found: dict[int, Any] = {}
    begun = time.perf_counter()
    for place in range(crew.count):
        if left:
            crew.ask(place, left.pop(0))
    while len(found) < len(numbers):
        place, message = _heard(crew, "piece")
        found[message["piece"]] = message["values"]
        if left:
            crew.ask(place, left.pop(0))
    return time.perf_counter() - begun, found


def _heard(crew: LocalCrew, what: str) -> tuple[int, dict[str, Any]]:
    while True:
        place, message = crew.hear()
        if what in message:
            return place, message
        if "died" in message or "error" in message:
            raise SystemExit(str(message))


def main() -> None:
    """Measure one of the two and keep it beside the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("kills", "speed"))
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--times", type=int, default=None, help="runs, or rounds")
    options = parser.parse_args()
    console = Console()
    with tempfile.TemporaryDirectory() as folder:
        if options.what == "kills":
            results = kills(Path(folder), options.times or 20, console)
        else:
            results = speed(options.run, options.times or 3, console)
        for result in results:
            console.print(result)
            before = read_json(RESULT) if RESULT.exists() else {}
            write_json(RESULT, before | {options.what: {"provenance": provenance(), **result}})


if __name__ == "__main__":
    main()
