"""What commands write to the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from corarec.cli.options import Form

if TYPE_CHECKING:
    from rich.table import Table

    from corarec.evaluate.result import Result

console = Console()


def print_result(form: Form, result: "Result", tables: list["Table"], text: str) -> None:
    """Print a result in the form that was asked for."""
    if form == "table":
        for table in tables:
            console.print(table)
    else:
        print(text if form == "markdown" else result.model_dump_json(indent=2))


@contextmanager
def progress_bar(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Show a bar over `total` pairs; yields what is called with the number just done."""
    columns = TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def show_record(record: dict[str, float]) -> None:
    """Print one record of a training's metrics."""
    names = {"step": "{:.0f}", "seconds": "{:.0f} s", "learning_rate": "{:.1e}"}
    console.print(
        "  ".join(f"{name} {names.get(name, '{:.4f}').format(v)}" for name, v in record.items()),
        highlight=False,
    )
