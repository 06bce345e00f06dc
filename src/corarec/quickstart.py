"""The whole job in one command: interactions, CF, CoRA, a table, recommendations, a page."""

import hashlib
import re
import shlex
from pathlib import Path
from typing import Any

from pydantic import Field
from rich.console import Console

from corarec.benchmark.runs import evaluate_run
from corarec.cli.output import heading, print_recommendations, say, training_progress
from corarec.data import Dataset, LabelConfig, PrepareConfig, prepare
from corarec.data.detect import default_split, detect_source, input_digest
from corarec.progress import progress, watch_fits
from corarec.report.tables import terminal_tables
from corarec.run_page import report_run
from corarec.runs import Run, load_run
from corarec.starter import quickstart_config
from corarec.text import printable
from corarec.train import train_run
from corarec.types import Config

CARD = "card.json"
_WORLD: dict[str, int] = {}
"""Options of the made-up world, all at their defaults."""


class Request(Config):
    """Which data to begin with; what is left out is found out."""

    input: Path | None = None
    """folder, archive or file of a source, or a dataset folder"""
    source: str | None = None
    """key of `DATA_SOURCES`"""
    split: str | None = None
    """key of `SPLIT_RULES`"""
    labels: LabelConfig = LabelConfig()
    """threshold and negatives"""
    source_options: dict[str, Any] = Field(default_factory=dict)
    """fields of the source"""
    split_options: dict[str, Any] = Field(default_factory=dict)
    """fields of the split rule"""


def run_quickstart(output: Path, request: Request, console: Console, log: Console) -> None:
    """Prepare data, train CoRA on the bundled language model, and show what it learned.

    Parameters
    ----------
    output
        Folder for the dataset, the run and the report. What is already there is not made again.
    request
        Which data; the empty request is a made-up world, which needs no download.
    console, log
        Where results go, and where progress does.
    """
    heading("1 of 5  Data", console)
    planned = plan(output, request)
    data = planned if isinstance(planned, Path) else planned.output
    if isinstance(planned, Path) or (data / CARD).exists():
        dataset = Dataset.load(data)
    else:
        if planned.input is not None:
            say(f"Reading it as {planned.source}, cut by {planned.split}.", log)
        dataset = prepare(planned)
    folder = output / f"run-{data.resolve().name.removeprefix('data-')}"
    for note in dataset.card.notes:
        say(printable(note), log)
    counts = ", ".join(f"{split} {c.rows:,}" for split, c in dataset.card.counts.items())
    say(
        f"{dataset.num_users:,} users, {dataset.num_items:,} items; interactions: {counts}",
        console,
    )
    heading("2 of 5  Collaborative filtering, then CoRA on the bundled language model", console)
    say("The increment acts from the title on (late activation).", console)
    config = quickstart_config(data)
    with training_progress(config.train.steps, log, every_record=False) as show:
        train_run(config, folder, show=show, watch_fit=watch_fits(log))
    heading("3 of 5  Evaluation on the test split", console)
    run = load_run(folder)
    total = len(dataset.rows("test"))
    with progress(log, "scoring test", total) as tracker:
        results, _ = terminal_tables(evaluate_run(run, "test", progress=tracker.advance))
    console.print(results)
    heading("4 of 5  Five recommendations", console)
    _show_recommendations(run, console)
    heading("5 of 5  Report", console)
    say(f"Open {report_run(run, 'test').resolve()}", console)


def plan(output: Path, request: Request) -> PrepareConfig | Path:
    """Return how to prepare the dataset, or the dataset folder that `request` names.

    Each input, and each way of reading it, has a folder of its own.

    Raises
    ------
    ConfigError, DataError
        The input cannot be found or read, or nobody can tell what it is.
    """
    if request.input is not None and (request.input / CARD).exists() and request.source is None:
        return request.input
    named = request != Request()
    source = request.source or ("synthetic" if request.input is None else "")
    source = source or detect_source(request.input or Path())
    options = request.source_options or (_WORLD if source == "synthetic" else {})
    split = request.split or default_split(source, request.input, options)
    split_options = request.split_options
    if source == "amazon" and split in ("temporal", "leave-last-out"):
        # Many of their items have no title.
        split_options = {"untitled": "drop"} | split_options
    said = (source, split, sorted(options.items()), sorted(split_options.items()), request.labels)
    name = "synthetic"
    if request.input is not None:
        stem = re.sub(r"[^\w.-]+", "_", request.input.resolve().stem)[:40]
        name = f"{stem}-{input_digest(request.input, *said)}"
    elif named:
        name = f"{source}-{hashlib.sha256(repr(said).encode()).hexdigest()[:8]}"
    return PrepareConfig(
        source=source,
        input=request.input,
        output=output / f"data-{name}",
        split=split,
        labels=request.labels,
        source_options=options,
        split_options=split_options,
    )


def _show_recommendations(run: Run, console: Console) -> None:
    (user,) = run.directory.most_active(1)
    say(f"For user {printable(user)}", console)
    best = run.recommend(user, k=5)
    print_recommendations(best, console)
    if best.is_empty():
        say("There is no item that this user has not seen.", console)
    folder = shlex.quote(str(run.folder))
    say(f"For another user: corarec recommend {folder} --user ID -k 5", console)
