from collections.abc import Callable
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.compare import compare
from corarec.evaluate.evaluate import evaluate
from corarec.evaluate.result import Difference, Estimate, ResultTable
from corarec.report.layout import (
    TableText,
    estimate_text,
    interval_text,
    p_value_text,
    signed,
)
from corarec.report.tables import (
    comparison_text,
    comparisons_note,
    markdown,
    results_note,
    terminal_tables,
)
from corarec.types import ScoreTable

MakeTable = Callable[..., ScoreTable]


@pytest.fixture
def results(make_table: MakeTable) -> ResultTable:
    config = BootstrapConfig(draws=50)
    users, labels = [1, 1, 2, 2, 3], [1, 0, 1, 0, 1]
    good = make_table(users, labels, [0.9, 0.1, 0.8, 0.2, 0.7])
    flat = make_table(users, labels, [0.5] * 5)
    return ResultTable(
        dataset="Toy | world",
        split="test",
        systems=[evaluate([good, good], "CoRA", config=config)],
        references=[evaluate(flat, "Item rate", config=config)],
        comparisons=[compare(good, flat, ("CoRA", "Item rate"), config=config)],
    )


def test_markdown_holds_systems_references_and_differences(results: ResultTable) -> None:
    lines = markdown(results).splitlines()
    assert lines[0] == (
        "| System | AUC | interval | UAUC | interval "
        "| warm AUC | warm UAUC | cold AUC | cold UAUC |"
    )
    assert lines[2] == (
        "| CoRA (2 seeds) | 1.000 ± 0.000 | [1.000, 1.000] | 1.000 ± 0.000 | [1.000, 1.000] "
        "| 1.000 ± 0.000 | 1.000 ± 0.000 | – | – |"  # noqa: RUF001
    )
    assert lines[3].startswith("| *Item rate* | 0.500 | [0.500, 0.500] | 0.500 |")
    assert any(
        line.startswith("| CoRA − Item rate | all (5) | +0.500 | [+0.500, +0.500] |")  # noqa: RUF001
        for line in lines
    )


def test_note_says_on_what_the_numbers_stand(results: ResultTable) -> None:
    note = results_note(results)
    assert "5 rows (60.0% positive) of 3 users" in note
    assert "2 users with both labels (1 with one label left out)" in note
    assert "95%, 50 bootstrap draws" in note


def test_terminal_tables_fit_eighty_columns(results: ResultTable) -> None:
    stream = StringIO()
    Console(file=stream, width=80).print(*terminal_tables(results))
    assert "…" not in stream.getvalue()
    assert all(system.name.split()[0] in stream.getvalue() for system in results.systems)


def test_terminal_tables_print_the_same_numbers(results: ResultTable) -> None:
    stream = StringIO()
    Console(file=stream, width=160).print(*terminal_tables(results))
    text = stream.getvalue()
    assert "CoRA (2 seeds)" in text
    assert "Item rate" in text
    assert "+0.500" in text
    assert len(terminal_tables(results.model_copy(update={"comparisons": []}))) == 1


def test_result_table_round_trips_through_json(results: ResultTable) -> None:
    assert ResultTable.model_validate_json(results.model_dump_json()) == results


def test_numbers_as_text() -> None:
    minus = "\N{MINUS SIGN}"
    assert estimate_text(Estimate(value=0.71249, low=0, high=1)) == "0.712"
    assert estimate_text(Estimate(value=0.5, low=0, high=1, spread=0.0123)) == "0.500 ± 0.012"
    assert [signed(value) for value in (0.0123, -0.0123, -0.0001, 0.00004, 0.0)] == [
        "+0.012",
        f"{minus}0.012",
        f"{minus}0.0001",
        "+0.00004",
        "0.000",
    ]
    difference = Difference(value=0.1, low=-0.05, high=0.25, p_value=0.0004)
    assert interval_text(difference) == f"[{minus}0.050, +0.250]"
    close = difference.model_copy(update={"low": 0.0002})
    assert interval_text(close) == "[+0.0002, +0.250]"
    assert interval_text(None) == estimate_text(None) == p_value_text(None) == "\N{EN DASH}"


def test_a_spread_is_explained_only_where_there_is_one(results: ResultTable) -> None:
    assert "± is the standard deviation over seeds" in markdown(results)
    single = results.systems[0].model_copy(update={"seeds": 1})
    assert "±" not in results_note(results.model_copy(update={"systems": [single]}))


def test_p_is_said_to_be_a_bound_where_the_draws_say_no_more(make_table: MakeTable) -> None:
    users = np.repeat(np.arange(1, 31), 4)
    labels = np.tile([1, 0, 1, 0], 30)
    good = make_table(users, labels, labels + 0.1)
    flat = make_table(users, labels, np.full(120, 0.5))
    comparison = compare(good, flat, ("a", "b"), config=BootstrapConfig(draws=1000))
    row = markdown_row(comparison_text([comparison]), 0)
    assert row["p"] == "\N{LESS-THAN OR EQUAL TO} 0.002"
    assert "Holm" not in row
    note = comparisons_note([comparison])
    assert "cannot be lower than 0.002 with so many draws" in note
    three = comparison_text([comparison] * 3)
    assert markdown_row(three, 0)["Holm"] == "\N{LESS-THAN OR EQUAL TO} 0.006"
    assert "corrected for the 3 tests of one metric on one part" in three.note
    assert "too few" not in three.note
    assert "these draws are too few" in comparison_text([comparison] * 26).note


def markdown_row(text: TableText, number: int) -> dict[str, str]:
    """Return the cells of a row by column; the first of several columns of one name."""
    pairs = list(zip(text.columns, text.systems[number], strict=True))
    return dict(reversed(pairs))
