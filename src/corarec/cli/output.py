"""What commands write: results to the standard output, everything else to the standard error."""

import io
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from corarec.cli.options import Form
from corarec.progress import Tracker, progress
from corarec.text import printable, printable_lines

if TYPE_CHECKING:
    import polars as pl

    from corarec.evaluate.result import Result
    from corarec.report.terminal import TerminalTable

UNBROKEN = 10_000
"""Columns of what is no terminal: a record there is one line, however long."""

console = Console(highlight=False)
"""Results."""
log = Console(stderr=True, highlight=False)
"""Progress, notes and errors."""


def prepare_streams() -> None:
    """Let no line of a pipe be wrapped, and no character that it cannot write end a command."""
    for each in (console, log):
        if not each.is_terminal:
            each.width = UNBROKEN
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def place_among_processes() -> tuple[int, int]:
    """Return which this process is, from 0, of how many that were started together."""
    try:
        return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    except ValueError:
        return 0, 1


def only_first_speaks() -> None:
    """Say nothing from here on, unless this is the first of the processes started together."""
    place, count = place_among_processes()
    console.quiet = log.quiet = count > 1 and place > 0


def say(text: str, to: Console | None = None, style: str = "") -> None:
    """Print text as it is: no markup, nothing that steers the terminal, one line in a pipe."""
    to = to or console
    to.print(Text(printable_lines(text), style=style), soft_wrap=not to.is_terminal)


def heading(text: str, to: Console) -> None:
    """Print a heading."""
    if to.is_terminal:
        to.rule(Text(printable(text)))
    else:
        say(f"== {text}", to)


def print_json(value: Any) -> None:
    """Print one JSON document in ASCII; what is not a finite number is null."""
    print(json.dumps(_finite(value), indent=2, allow_nan=False))


def print_result(
    form: Form, result: "Result", tables: Sequence["TerminalTable"], text: str
) -> None:
    """Print a result in the form that was asked for."""
    if form == "json":
        print_json(result.model_dump(mode="json"))
    elif form == "markdown":
        print(printable_lines(text))
    else:
        for table in tables:
            console.print(table)


def print_recommendations(best: "pl.DataFrame", to: Console | None = None) -> None:
    """Print what `Run.recommend` returns: rank, probability, the item's id and its title."""
    ids = [printable(str(item)) for item in best["item"]]
    width = max(map(len, ids), default=0)
    for item, row in zip(ids, best.iter_rows(named=True), strict=True):
        title = printable(row["title"])
        say(f"{row['rank']:>3}  {row['probability']:6.1%}  {item:<{width}}  {title}", to)


@contextmanager
def scoring_progress(total: int, what: str, then: str = "") -> Iterator[Callable[[int], None]]:
    """Show how far a scoring is; yields what is called with the number of pairs just scored.

    `then` says what follows when all are scored.
    """
    with progress(log, what, total) as tracker:

        def advance(count: int) -> None:
            tracker.advance(count)
            if then and tracker.done >= total:
                tracker.tell(then)

        yield advance


@contextmanager
def training_progress(
    steps: int | Mapping[str, int], to: Console, *, every_record: bool
) -> Iterator[Callable[[dict[str, Any]], None]]:
    """Show a training; yields what is called with every record of its metrics.

    Parameters
    ----------
    steps
        How many steps it has at most; by phase, where it has phases.
    every_record
        Print each record as a line, too.
    """
    with ExitStack() as stack:
        tracker: Tracker | None = None
        latest: dict[str, Any] = {}
        phases = {"": steps} if isinstance(steps, int) else steps
        starts = dict(zip(phases, accumulate(phases.values(), initial=0), strict=False))

        def show(record: dict[str, Any]) -> None:
            nonlocal tracker
            if tracker is None:
                # Not before: until the first record a CF model may show a bar of its own.
                tracker = stack.enter_context(progress(to, "training", sum(phases.values())))
                tracker.earlier = record["seconds"]
            tracker.done = starts[record.get("phase", "")] + int(record["step"])
            latest.update(record)
            if every_record:
                say("  ".join([*record_parts(record), *_left(tracker, to)]), to)
            if to.is_terminal or not every_record:
                tracker.tell(", ".join(["training", *_measures(latest)]))

        yield show


def record_parts(record: dict[str, Any]) -> list[str]:
    """Return the numbers of a record with their names."""
    forms = {"phase": "{}", "step": "{:.0f}", "seconds": "{:.0f} s", "learning_rate": "{:.1e}"}
    return [f"{name} {forms.get(name, '{:.4f}').format(v)}" for name, v in record.items()]


def measure_label(metric: str) -> str:
    """Return what a validation metric is called in a sentence."""
    return metric.upper() if metric == "auc" else metric.replace("_", " ")


def _measures(record: dict[str, Any]) -> list[str]:
    return [
        f"{'loss' if name == 'train_loss' else f'validation {measure_label(name[6:])}'} {value:.4f}"
        for name, value in record.items()
        if name == "train_loss" or name.startswith("valid_")
    ]


def _left(tracker: Tracker, to: Console) -> list[str]:
    return [] if to.is_terminal or not tracker.left else [tracker.left]


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
