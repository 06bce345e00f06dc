"""General ability as tables."""

import pytest
from rich.console import Console

from corarec.ability.result import (
    UNTOUCHED,
    AbilityTable,
    Finding,
    PairedTest,
    StateRecord,
    TaskRecord,
)
from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.result import Difference, Estimate
from corarec.report.ability import ability_markdown, ability_tables, corrected_tests


def state(name: str, identical: bool | None, accuracy: float, bits: float) -> StateRecord:
    numbers = {
        ("quiz", "accuracy, label"): accuracy,
        ("quiz", "same greedy answer"): 0.5,
        ("news", "bits per byte"): bits,
    }
    return StateRecord(
        name=name,
        run=None if name == UNTOUCHED else name,
        system=None if name == UNTOUCHED else "tallrec",
        what="nothing" if name == UNTOUCHED else "its LoRA",
        bit_identical=identical,
        seconds=1.0,
        findings=[
            Finding(
                task=task,
                measure=measure,
                examples=10,
                estimate=Estimate(value=value, low=value - 0.1, high=value + 0.1),
            )
            for (task, measure), value in numbers.items()
        ],
    )


def test(task: str, measure: str, value: float, p_value: float, draws: int | None) -> PairedTest:
    difference = Difference(
        value=value, low=value - 1, high=value + 1, p_value=p_value, draws=draws
    )
    return PairedTest(name="a|b", task=task, measure=measure, difference=difference)


test.__test__ = False  # type: ignore[attr-defined]


@pytest.fixture
def table() -> AbilityTable:
    quiz = {"file": "quiz.json", "kind": "choice", "chance": 0.25, "constant": 0.3}
    return AbilityTable(
        backbone="Some-123",
        model="some",
        dtype="float32",
        limit=10,
        seed=0,
        bootstrap=BootstrapConfig(),
        tasks=[
            TaskRecord(name="quiz", rows=90, sampled=10, **quiz),
            TaskRecord(name="news", file="n.txt", kind="text", rows=50, sampled=10, shortened=3),
        ],
        states=[state(UNTOUCHED, True, 0.4, 1.5), state("a|b", False, 0.3, 1.75)],
        tests=[
            test("quiz", "accuracy, label", -0.1, 0.0005, None),
            test("news", "bits per byte", 0.25, 0.0002, 9_999),
        ],
        notes=["Something was left out."],
    )


def test_every_number_stands_beside_chance_and_the_untouched_model(table: AbilityTable) -> None:
    lines = ability_markdown(table).splitlines()
    row = "| quiz: accuracy, label | 10 | 0.250 | 0.300 | 0.400 | [0.300, 0.500] | 0.300 |"
    assert any(line.startswith(row) for line in lines)
    bits = "| news: bits per byte | 10 | \N{EN DASH} | \N{EN DASH} | 1.500 |"
    assert any(line.startswith(bits) for line in lines)
    assert any(line.startswith("| a\\|b | tallrec | its LoRA | no |") for line in lines)
    text = "\n".join(lines)
    assert "Something was left out." in text
    assert "near chance" in text
    assert "news 3 of 10" in text
    assert "corrected for the 2 tests of this table" in text


def test_an_exact_test_says_no_bound_and_holm_counts_all_tests(table: AbilityTable) -> None:
    found = corrected_tests(table)
    _, exact, corrected = found["a|b", "quiz", "accuracy, label"]
    assert (exact.value, exact.at_most) == (0.0005, False)
    assert (corrected.value, corrected.at_most) == (0.0005, False)
    _, drawn, corrected = found["a|b", "news", "bits per byte"]
    assert drawn.at_most
    assert (corrected.value, corrected.at_most) == (0.0004, True)


@pytest.mark.parametrize("width", [40, 100, 250])
def test_no_number_is_cut_on_a_terminal(table: AbilityTable, width: int) -> None:
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    for each in ability_tables(table):
        console.print(each)
    text = console.export_text()
    for number in ("0.400", "[1.650, 1.850]", "\N{MINUS SIGN}0.100", "+0.250"):
        assert number in text
