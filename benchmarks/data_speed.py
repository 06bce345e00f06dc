"""What much data costs: seconds and peak memory of `prepare` and of fitting each CF model.

    python benchmarks/data_speed.py prepare --rows 1000000 5000000 20000000
    python benchmarks/data_speed.py models --rows 1000000 5000000 20000000 --models mf als

The ratings are made up (200,000 users, 20,000 items), lie in a temporary folder and are
removed. Each measurement is a process of its own on `--threads` cores; its peak memory is what
the kernel says of that process. `models` fits with one epoch, where a model has epochs, and stops a
model at `--limit-seconds`; what was stopped or refused is told as that. Nothing is extrapolated.
Every measurement is written to `benchmarks/results/data_speed.json` as soon as it is made; with
`--again` those that stand there are made anew, too.
"""

import argparse
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from corarec.files import read_json, write_json
from corarec.provenance import provenance

RESULT = Path(__file__).parent / "results" / "data_speed.json"
USERS = 200_000
ITEMS = 20_000
DAYS = 2 * 365
START = 1_600_000_000
Layout = Literal["dat", "csv"]
ROWS = (1_000_000, 5_000_000, 20_000_000)
ONE_EPOCH = {"epochs": 1, "max_epochs": 1}
"""options that make a fit one epoch long, by the names that models give them"""
MODELS = (
    "popularity",
    "rates",
    "item-knn",
    "ease",
    "als",
    "mf",
    "mf-b",
    "lightgcn",
    "sasrec",
    "sasrec-ce",
    "binary-mf",
    "content",
    "statistics",
)


def interactions(
    rows: int, *, users: int = USERS, items: int = ITEMS, seed: int = 0
) -> pl.DataFrame:
    """Make ratings of distinct pairs, in the order of users, then items, as GroupLens has them.

    A user's number of rows is lognormal, an item's popularity falls with one over its rank, a
    rating is what user and item usually give and get, and noise. Times are uniform over two years.

    Returns
    -------
    [N] user, item (numbers from 1), rating (1 to 5), timestamp (UTC seconds)
    """
    random = np.random.default_rng(seed)
    activity = np.cumsum(random.lognormal(sigma=1.0, size=users))
    popularity = np.cumsum(1 / np.arange(1, items + 1))
    numbers = random.permutation(items)
    keys = np.empty(0, np.int64)
    while len(keys) < rows:
        size = 3 * (rows - len(keys)) // 2 + 1_000
        user = np.searchsorted(activity, random.random(size) * activity[-1])
        item = numbers[np.searchsorted(popularity, random.random(size) * popularity[-1])]
        keys = np.union1d(keys, user * items + item)
    keys = np.delete(keys, random.choice(len(keys), len(keys) - rows, replace=False))
    user, item = np.divmod(keys, items)
    user_mean, item_mean = random.normal(size=users) * 0.5, random.normal(size=items) * 0.7
    rating = 3.5 + user_mean[user] + item_mean[item]
    rating += random.standard_normal(rows, dtype=np.float32)
    return pl.DataFrame(
        {
            "user": user + 1,
            "item": item + 1,
            "rating": np.clip(np.rint(rating), 1, 5).astype(np.int8),
            "timestamp": START + random.integers(DAYS * 86_400, size=rows),
        }
    )


def write(table: pl.DataFrame, folder: Path, layout: Layout, items: int = ITEMS) -> None:
    """Write interactions and titles as MovieLens-1M (`dat`) or as MovieLens-20M (`csv`) is."""
    folder.mkdir(parents=True, exist_ok=True)
    movies = pl.DataFrame({"movieId": np.arange(1, items + 1)}).with_columns(
        title=pl.format("Film {} (2020)", "movieId"), genres=pl.lit("Comedy|Drama")
    )
    if layout == "csv":
        names = {"user": "userId", "item": "movieId"}
        table.rename(names).write_csv(folder / "ratings.csv")
        movies.write_csv(folder / "movies.csv")
        return
    _write_dat(table, folder / "ratings.dat")
    _write_dat(movies, folder / "movies.dat")


def _write_dat(table: pl.DataFrame, file: Path) -> None:
    """Write `a::b::c`: columns of nothing between every two."""
    empty = pl.lit(None, pl.String)
    columns: list[pl.Expr] = []
    for name in table.columns:
        columns += [empty.alias(f"before {name}")] * bool(columns) + [pl.col(name)]
    table.select(columns).write_csv(file, separator=":", include_header=False, quote_style="never")


def make(folder: Path, rows: int, layout: str) -> None:
    """Write the ratings in a process of its own, which leaves no memory behind."""
    own = [sys.executable, str(Path(__file__)), "make", str(folder), str(rows), layout]
    subprocess.run(own, check=True)


def measured(command: list[str], threads: int, limit: float | None) -> dict[str, Any]:
    """Run a command of corarec and return its seconds, peak memory and how it ended."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "POLARS_MAX_THREADS": str(threads)}
    with tempfile.NamedTemporaryFile("r", suffix=".json") as report:
        child = [sys.executable, str(Path(__file__)), "child", report.name, *command]
        process = subprocess.Popen(
            child, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            said = process.communicate(timeout=limit)[1]
        except subprocess.TimeoutExpired:
            megabytes = _peak(process.pid)
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            process.kill()
            process.communicate()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            cost = {"processor_seconds": round(used, 2), "peak_megabytes": megabytes}
            return {"ended": "stopped", "seconds": limit, **cost}
        told = Path(report.name).read_text("utf-8")
    if process.returncode or not told:
        last = said.strip().splitlines()[-1:] or [f"status {process.returncode}"]
        found = json.loads(told) if told else {}
        return {"ended": "refused" if told else "died", "said": last[0], **found}
    return {"ended": "done", **json.loads(told)}


def child(report: Path, command: list[str]) -> int:
    """Run the command here and write what it cost: what the measured process does."""
    from corarec.cli import main as cli

    start, processor, status = time.perf_counter(), time.process_time(), 0
    sys.argv = ["corarec", *command]
    try:
        cli()
    except SystemExit as end:
        status = int(end.code or 0)
    seconds = {
        "seconds": round(time.perf_counter() - start, 2),
        "processor_seconds": round(time.process_time() - processor, 2),
    }
    report.write_text(json.dumps({**seconds, "peak_megabytes": _peak(os.getpid())}), "utf-8")
    return status


def _peak(process: int) -> int | None:
    """Return the most memory that a process ever held, in MB (10^6 bytes)."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_text("utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e6)
    return None


@contextlib.contextmanager
def scratch(parent: Path | None) -> Iterator[Path]:
    """Give a folder that is removed whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix="data-speed-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def prepare(arguments: argparse.Namespace, folder: Path, rows: int, result: dict[str, Any]) -> None:
    """Measure `prepare` of each wanted layout."""
    for layout in arguments.layouts:
        cells = result.setdefault("prepare", {}).setdefault(layout, {})
        if str(rows) in cells and not arguments.again:
            continue
        source = folder / layout
        make(source, rows, layout)
        megabytes = sum(file.stat().st_size for file in source.iterdir()) / 1e6
        command = ["prepare", "movielens", "--input", str(source), "--split", "temporal"]
        found = measured(
            [*command, "--output", str(folder / "data")], arguments.threads, arguments.limit_seconds
        )
        keep(
            result,
            cells,
            rows,
            {**found, "threads": arguments.threads, "input_megabytes": round(megabytes)},
        )
        shutil.rmtree(source)
        shutil.rmtree(folder / "data", ignore_errors=True)


def models(arguments: argparse.Namespace, folder: Path, rows: int, result: dict[str, Any]) -> None:
    """Measure `fit-cf` of each wanted model."""
    from corarec.cf import CF_MODELS

    table = result.setdefault("models", {})
    wanted = [
        name for name in arguments.models if arguments.again or str(rows) not in table.get(name, {})
    ]
    if not wanted:
        return
    data = folder / "data"
    make(folder / "dat", rows, "dat")
    command = ["prepare", "movielens", "--input", str(folder / "dat"), "--split", "temporal"]
    made = measured([*command, "--output", str(data)], arguments.threads, None)
    if made["ended"] != "done":
        raise SystemExit(f"The dataset could not be prepared: {made}")
    shutil.rmtree(folder / "dat")
    for name in wanted:
        kind = CF_MODELS[name]
        fields = kind.config_class.model_fields
        policies = kind(kind.config_class()).policies
        knowledge = "train" if "train" in policies else policies[0]
        options = [f"-o{key}={value}" for key, value in ONE_EPOCH.items() if key in fields]
        fit = ["fit-cf", str(data), "--model", name, "--output", str(folder / "cf"), *options]
        fit += ["--knowledge", knowledge]
        found = measured(fit, arguments.threads, arguments.limit_seconds)
        report = folder / "cf" / "report.json"
        if report.exists():
            told = read_json(report)
            found["fit_seconds"] = round(told["seconds"], 2)
            found["epochs"] = told.get("epochs") if options else None
        found["threads"] = arguments.threads
        keep(result, table.setdefault(name, {}), rows, found)
        shutil.rmtree(folder / "cf", ignore_errors=True)


def keep(result: dict[str, Any], cells: dict[str, Any], rows: int, found: dict[str, Any]) -> None:
    """Put a measurement into the file."""
    cells[str(rows)] = found
    print(f"{rows:,} rows: {found}", flush=True)
    result["provenance"] = provenance()
    write_json(RESULT, result)


def main() -> int:
    """Measure what is wanted and not there yet."""
    if sys.argv[1:2] == ["child"]:
        return child(Path(sys.argv[2]), sys.argv[3:])
    if sys.argv[1:2] == ["make"]:
        layout: Layout = "csv" if sys.argv[4] == "csv" else "dat"
        write(interactions(int(sys.argv[3])), Path(sys.argv[2]), layout)
        return 0
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("what", choices=["prepare", "models"])
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS))
    parser.add_argument("--layouts", nargs="+", choices=["dat", "csv"], default=["dat", "csv"])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--threads", type=int, default=2, help="of each measured process")
    parser.add_argument("--limit-seconds", type=float, help="after which a process is stopped")
    parser.add_argument("--again", action="store_true", help="measure what is there already, too")
    parser.add_argument("--folder", type=Path, help="where the temporary folder shall lie")
    arguments = parser.parse_args()
    result = read_json(RESULT) if RESULT.exists() else {}
    result |= {"users": USERS, "items": ITEMS}
    measure = {"prepare": prepare, "models": models}[arguments.what]
    for rows in arguments.rows:
        with scratch(arguments.folder) as folder:
            measure(arguments, folder, rows, result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
