from collections.abc import Callable
from io import StringIO

import pytest
from rich.console import Console

from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.compare import compare
from corarec.evaluate.evaluate import evaluate
from corarec.evaluate.layout import estimate_text, interval_text, p_value_text, signed
from corarec.evaluate.result import Difference, Estimate, ResultTable
from corarec.evaluate.tables import markdown, results_note, terminal_tables
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
    assert [signed(value) for value in (0.0123, -0.0123, -0.0001)] == [
        "+0.012",
        f"{minus}0.012",
        "0.000",
    ]
    difference = Difference(value=0.1, low=-0.05, high=0.25, p_value=0.0004)
    assert interval_text(difference) == f"[{minus}0.050, +0.250]"
    assert p_value_text(difference) == "< 0.001"
    assert interval_text(None) == estimate_text(None) == p_value_text(None) == "\N{EN DASH}"
