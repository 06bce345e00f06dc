from io import StringIO

import pytest
from rich.console import Console

from corarec.report.layout import TableText
from corarec.report.terminal import UNBROKEN, TerminalTable

NAME = "Logistic regression, user + item"
TEXT = TableText(
    columns=("System", "AUC", "interval", "UAUC", "interval", "warm AUC"),
    systems=[("cora", "0.712", "[0.701, 0.723]", "0.690", "[0.661, 0.701]", "0.733")],
    references=[(NAME, "0.701", "[0.690, 0.712]", "0.680", "[0.641, 0.691]", "0.722")],
    note="Intervals: 95%, 1,000 bootstrap draws of users. " * 4,
)


def printed(width: int, text: TableText = TEXT, *, terminal: bool = False) -> str:
    stream = StringIO()
    console = Console(file=stream, width=width, force_terminal=terminal, color_system=None)
    console.print(TerminalTable(text, "ml-1m, test"))
    return stream.getvalue()


def test_in_a_pipe_a_record_is_one_line_and_so_is_the_note() -> None:
    lines = printed(UNBROKEN).splitlines()
    (row,) = [line for line in lines if NAME in line]
    values = ["0.701", "[0.690,", "0.712]", "0.680", "[0.641,", "0.691]", "0.722"]
    assert row.replace(NAME, "").split() == values
    assert TEXT.note in lines


@pytest.mark.parametrize("width", [1_000, 80, 60, 40, 30])
def test_at_any_width_no_name_and_no_number_is_cut(width: int) -> None:
    text = printed(width, terminal=True)
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    for row in (*TEXT.systems, *TEXT.references):
        for cell in row:
            assert all(word in text for word in cell.split()), cell


def test_forty_columns_show_one_metric_per_line_below_the_name() -> None:
    assert (
        f"{NAME}\n  AUC 0.701 [0.690, 0.712]\n  UAUC 0.680 [0.641, 0.691]\n  warm AUC 0.722\n"
    ) in printed(40)


def test_names_are_text_and_never_markup_or_control_characters() -> None:
    odd = TableText(("System", "[/]"), [("[red]a\x1b[31m\u202e", "[/]")], [], "[/] note")
    stream = StringIO()
    for width in (200, 12):
        Console(file=stream, width=width).print(TerminalTable(odd, "[/x] title"))
    text = stream.getvalue()
    assert text.count(r"[red]a\x1b[31m\u202e") == 2 or r"\x1b[31m" in text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[/x] title" in text
    assert "[/] note" in text
