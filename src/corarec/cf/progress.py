"""What a fit shows on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from corarec.cf.base import EpochRecord, FitReport


class FitProgress:
    """One live line per fit, then one lasting line with its result."""

    def __init__(self, name: str, bar: Progress) -> None:
        self._name = name
        self._bar = bar
        self._task = bar.add_task(f"{name}: fitting", total=None)

    def epoch(self, record: EpochRecord) -> None:
        """Show an epoch."""
        self._bar.update(
            self._task,
            description=(
                f"{self._name}: epoch {record.epoch}, loss {record.loss:.4f}, "
                f"AUC train {record.train_auc:.4f} | validation {record.valid_auc:.4f} "
                f"(best {record.best_valid_auc:.4f})"
            ),
        )

    def done(self, report: FitReport) -> None:
        """Print the result."""
        kept = f" at epoch {report.best_epoch} of {report.epochs}" if report.epochs else ""
        self._bar.console.print(
            f"{self._name}: AUC train {report.train_auc:.4f} | validation {report.valid_auc:.4f}"
            f"{kept}, {report.seconds:.1f} s",
            highlight=False,
        )


@contextmanager
def fit_progress(name: str, console: Console | None) -> Iterator[FitProgress]:
    """Show the progress of one fit on `console`; `None` shows nothing."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=Console(quiet=True) if console is None else console,
        transient=True,
        disable=console is None or not console.is_terminal,
    ) as bar:
        yield FitProgress(name, bar)
