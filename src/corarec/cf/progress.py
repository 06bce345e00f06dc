"""What a fit shows on a terminal or in a log."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from corarec.cf.report import EpochRecord, FitReport
from corarec.progress import Tracker, progress


class FitProgress:
    """One live line per fit, then one lasting line with its result."""

    def __init__(self, name: str, tracker: Tracker, console: Console | None) -> None:
        self._name = name
        self._tracker = tracker
        self._console = console

    def epoch(self, record: EpochRecord) -> None:
        """Show an epoch."""
        self._tracker.tell(
            f"{self._name}: epoch {record.epoch}, loss {record.loss:.4f}, "
            f"AUC train {record.train_auc:.4f} | validation {record.valid_auc:.4f} "
            f"(best {record.best_valid_auc:.4f})"
        )

    def done(self, report: FitReport) -> None:
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
