"""Progress of long work: a bar on a terminal, a plain line every so often in a log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from corarec.extras import needs
from corarec.text import printable

if TYPE_CHECKING:  # its room takes seconds to import
    from corarec.cf.report import EpochRecord, FitReport, WatchFit

with needs("cli"):
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
    from rich.text import Text

SECONDS_BETWEEN_LINES = 10.0
"""How often a log hears of work that goes on."""


class Tracker:
    """How far some work is; shows nothing by itself.

    Parameters
    ----------
    what
        The work, in a word or two.
    total
        Of what it counts; None where the end is not known.
    """

    def __init__(self, what: str, total: int | None) -> None:
        self.what = what
        self.total = total
        self.done = 0
        self.note = ""
        self.earlier = 0.0
        """Seconds that were spent before the tracker was made."""
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Return the time since the start."""
        return self.earlier + time.monotonic() - self._started

    @property
    def left(self) -> str:
        """Return about how long the rest will take, in words; empty where nobody can tell."""
        if self.total is None or not 0 < self.done < self.total:
            return ""
        return f"about {duration(self.seconds / self.done * (self.total - self.done))} left"

    def advance(self, count: int) -> None:
        """Say that `count` more are done."""
        self.done += count
        self.show()

    def tell(self, note: str) -> None:
        """Say what is being done now, in the place of `what`."""
        self.note = note
        self.show()

    def show(self) -> None:
        """Show the present state."""


class _Bar(Tracker):
    def __init__(self, what: str, total: int | None, bar: Progress) -> None:
        super().__init__(what, total)
        self._bar = bar
        self._task = bar.add_task(what, total=total, left="")

    def show(self) -> None:
        self._bar.update(
            self._task,
            completed=self.done,
            description=printable(self.note or self.what),
            left=self.left or duration(self.seconds),
        )


class _Lines(Tracker):
    def __init__(self, what: str, total: int | None, console: Console) -> None:
        super().__init__(what, total)
        self._console = console
        self._shown = time.monotonic()

    def show(self) -> None:
        if time.monotonic() - self._shown < SECONDS_BETWEEN_LINES:
            return
        self._shown = time.monotonic()
        parts = [f"{duration(self.seconds)} so far", self.left]
        if self.total:
            parts.insert(0, f"{self.done:,} of {self.total:,} ({self.done / self.total:.0%})")
        line = ", ".join([self.note or self.what, *filter(None, parts)])
        self._console.print(Text(printable(line)), soft_wrap=True)


@contextmanager
def progress(console: Console | None, what: str, total: int | None = None) -> Iterator[Tracker]:
    """Show how some work goes: on a terminal as a bar that leaves no trace, elsewhere as lines.

    Parameters
    ----------
    console
        Where; `None` is silent.
    what, total
        As in `Tracker`.
    """
    if console is None:
        yield Tracker(what, total)
    elif not console.is_terminal:
        yield _Lines(what, total, console)
    else:
        counted = (BarColumn(), MofNCompleteColumn()) if total is not None else ()
        columns = (
            *(() if counted else (SpinnerColumn(),)),
            TextColumn("{task.description}", markup=False),
            *counted,
            TextColumn("{task.fields[left]}"),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            yield _Bar(what, total, bar)


def duration(seconds: float) -> str:
    """Return a time span in the two units that matter: `12 s`, `3 min 20 s`, `1 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


class FitProgress:
    """One live line per fit, then one lasting line with its result."""

    def __init__(self, name: str, tracker: Tracker, console: Console | None) -> None:
        self._name = name
        self._tracker = tracker
        self._console = console

    def epoch(self, record: "EpochRecord") -> None:
        """Show an epoch."""
        self._tracker.tell(
            f"{self._name}: epoch {record.epoch}, loss {record.loss:.4f}, "
            f"AUC train {record.train_auc:.4f} | validation {record.valid_auc:.4f} "
            f"(best {record.best_valid_auc:.4f})"
        )

    def done(self, report: "FitReport") -> None:
        """Print the result."""
        if self._console is None:
            return
        kept = f" at epoch {report.best_epoch} of {report.epochs}" if report.epochs else ""
        self._console.print(
            f"{self._name}: AUC train {report.train_auc:.4f} | validation {report.valid_auc:.4f}"
            f"{kept}, {report.seconds:.1f} s",
            highlight=False,
            soft_wrap=True,
        )


@contextmanager
def fit_progress(name: str, console: Console | None) -> Iterator[FitProgress]:
    """Show the progress of one fit on `console`; `None` shows nothing."""
    with progress(console, f"{name}: fitting") as tracker:
        yield FitProgress(name, tracker, console)


def watch_fits(console: Console | None) -> "WatchFit":
    """Return what shows the progress of every fit on `console`."""
    return partial(fit_progress, console=console)
