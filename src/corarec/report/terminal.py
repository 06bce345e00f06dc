"""A table of results on a terminal of any width, and in a file: no name and no number is cut."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from corarec.extras import needs
from corarec.report.layout import UNDER, TableText, folded
from corarec.text import printable, printable_lines

with needs("cli"):
    from rich import box
    from rich.cells import cell_len
    from rich.console import Console, ConsoleOptions, RenderResult
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

UNBROKEN = 10_000
"""Columns at which nothing is wrapped."""

Cells = Callable[[Sequence[str]], list[Text]]

_LEAST_NAME = 14
"""Columns that a name gets before the table takes another form."""


@dataclass(frozen=True)
class TerminalTable:
    """A table for a rich console, in the widest of three forms that fits.

    One line per row; intervals below their metric; one metric per line, below the row's name.
    """

    text: TableText
    title: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the form that fits."""
        yield Text(printable_lines(self.title), style="italic")
        yield next(
            (table for table in (self.wide(), self.folded()) if _fits(table, console, options)),
            self.stacked(),
        )
        yield Text(printable_lines(self.text.note), style="dim italic")
        yield ""

    def wide(self) -> Table:
        """Return one line per row."""
        columns = [Text(printable(column)) for column in self.text.columns]
        return self._table(columns, lambda row: [Text(printable(cell)) for cell in row], wrap=False)

    def folded(self) -> Table:
        """Return intervals and p-values below their metric."""
        columns = [
            Text(printable(column).replace(" ", "\n") if number else printable(column))
            for number, column in enumerate(self.text.columns)
            if column not in UNDER
        ]
        return self._table(columns, lambda row: _cells(self.text.columns, row), wrap=True)

    def stacked(self) -> Text:
        """Return one metric per line."""
        lines = []
        for row in (*self.text.systems, *self.text.references):
            name, *cells = folded(self.text.columns, row)
            lines.append(printable(name.value))
            lines += [
                f"  {printable(' '.join([cell.column, cell.value, *cell.below]))}" for cell in cells
            ]
        return Text("\n".join(lines))

    def _table(self, columns: list[Text], cells: Cells, *, wrap: bool) -> Table:
        """Return the table; with `wrap` the names, and nothing else, may take several lines."""
        table = Table(box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
        systems, references = (
            [cells(row) for row in rows] for rows in (self.text.systems, self.text.references)
        )
        for number, column in enumerate(columns):
            below = [column, *(row[number] for row in (*systems, *references))]
            if number or not wrap:
                least = max(_width(cell) for cell in below)
            else:
                words = [Text(word) for cell in below for word in cell.plain.split()]
                least = max([_LEAST_NAME, *map(_width, words)])
            table.add_column(
                column,
                justify="right" if number else "left",
                no_wrap=bool(number) or not wrap,
                min_width=least,
            )
        for row in systems:
            table.add_row(*row)
        if systems and references:
            table.add_section()
        for row in references:
            table.add_row(*row, style="dim")
        return table


def _width(cell: Text) -> int:
    return max((cell_len(line) for line in cell.plain.split("\n")), default=0)


def _fits(table: Table, console: Console, options: ConsoleOptions) -> bool:
    unbroken = options.update(width=UNBROKEN)
    return Measurement.get(console, unbroken, table).minimum <= options.max_width


def _cells(columns: Sequence[str], row: Sequence[str]) -> list[Text]:
    cells = []
    for cell in folded(columns, row):
        cells.append(Text(printable(cell.value)))
        for line in cell.below:
            cells[-1].append(f"\n{printable(line)}", style="dim")
    return cells
