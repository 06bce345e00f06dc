"""General ability as tables: in the terminal and in Markdown."""

from corarec.ability.measured import MEASURES
from corarec.ability.result import UNTOUCHED, AbilityTable, PairedTest, StateRecord
from corarec.evaluate.result import Estimate
from corarec.evaluate.significance import PValue, holm, p_value
from corarec.report.layout import (
    MINUS,
    MISSING,
    TableText,
    interval_text,
    markdown_table,
    p_value_text,
    signed,
)
from corarec.report.terminal import TerminalTable

HOW_TO_READ = (
    "Chance is what guessing among the choices gets right, and constant what naming one label for "
    "all questions would, were it the best one of this sample: an accuracy whose interval holds "
    "either says nothing. A small language model is near chance in most tasks, before and after; "
    "there the bits per byte and the agreement with the untouched model carry the finding. "
    "Intervals are Wilson's for shares, and bootstraps over examples for all else."
)


def ability_tables(table: AbilityTable) -> list[TerminalTable]:
    """Return the tables for a rich console: the states, the measures, the paired tests."""
    titles = (
        "The language model, and what acts in its general text",
        "General ability",
        f"Paired differences to the {UNTOUCHED}",
    )
    return [
        TerminalTable(text, title)
        for text, title in zip(ability_texts(table), titles, strict=False)
    ]


def ability_markdown(table: AbilityTable) -> str:
    """Return the tables as Markdown."""
    return "\n".join(map(markdown_table, ability_texts(table)))


def ability_texts(table: AbilityTable) -> list[TableText]:
    """Lay out the states, then one row for every task and measure."""
    return [_states(table), _measures(table), *([_tests(table)] if table.tests else [])]


def _states(table: AbilityTable) -> TableText:
    words = {True: "yes", False: "no", None: MISSING}
    rows: list[tuple[str, ...]] = [
        (state.name, state.system or MISSING, state.what, words[state.bit_identical])
        for state in table.states
    ]
    note = (
        f"Language model {table.model} ({table.backbone}), {table.dtype}. Bit-identical: every "
        f"logit that was compared is that of the {UNTOUCHED}, to the last bit."
    )
    columns = ("State", "system", "acts in general text", "bit-identical")
    return TableText(columns, rows, [], " ".join([note, *table.notes]))


def _keys(table: AbilityTable) -> list[tuple[str, str]]:
    """Return every task and measure, task by task in the order of the tasks."""
    there = {
        (found.task, found.measure): None for state in table.states for found in state.findings
    }
    order = {task.name: number for number, task in enumerate(table.tasks)}
    return sorted(there, key=lambda key: (order[key[0]], list(MEASURES).index(key[1])))


def _measures(table: AbilityTable) -> TableText:
    tasks = {task.name: task for task in table.tasks}
    columns = ["Task, measure", "examples", "chance", "constant"]
    for state in table.states:
        columns += [state.name, "interval"]
    rows = []
    for task, measure in _keys(table):
        guessed = measure.startswith(("accuracy", "exact"))
        row = [f"{task}: {measure}", str(tasks[task].sampled)]
        row.append(_share(tasks[task].chance if guessed else None))
        row.append(_share(tasks[task].constant if measure != "accuracy, option's text" else None))
        if not guessed:
            row[-1] = MISSING
        for state in table.states:
            estimate = _estimate(state, task, measure)
            row += [_value(estimate), interval_text(estimate)]
        rows.append(tuple(row))
    shortened = [
        f"{task.name} {task.shortened} of {task.sampled}" for task in table.tasks if task.shortened
    ]
    notes = [HOW_TO_READ]
    if shortened:
        notes.append(
            f"Longer than the model reads, so that it saw a part only: {', '.join(shortened)}."
        )
    return TableText(tuple(columns), rows, [], " ".join(notes))


def _estimate(state: StateRecord, task: str, measure: str) -> Estimate | None:
    for found in state.findings:
        if (found.task, found.measure) == (task, measure):
            return found.estimate
    return None


def _value(estimate: Estimate | None) -> str:
    return MISSING if estimate is None else f"{estimate.value:.3f}"


def _share(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def _tests(table: AbilityTable) -> TableText:
    names = [state.name for state in table.states if state.name != UNTOUCHED]
    corrected = corrected_tests(table)
    columns = ["Task, measure"]
    for name in names:
        columns += [f"{name} {MINUS} {UNTOUCHED}", "interval", "p", "Holm"]
    rows = []
    for task, measure in _keys(table):
        if MEASURES[measure].against_untouched:
            continue
        row = [f"{task}: {measure}"]
        for name in names:
            found = corrected.get((name, task, measure))
            if found is None:
                row += [MISSING] * 4
                continue
            test, one, both = found
            row += [signed(test.difference.value), interval_text(test.difference)]
            row += [p_value_text(one), p_value_text(both)]
        rows.append(tuple(row))
    note = (
        "On the same examples; McNemar's exact test for shares, changed signs for all else. Holm: "
        f"corrected for the {len(table.tests)} tests of this table."
    )
    return TableText(tuple(columns), rows, [], note)


def corrected_tests(
    table: AbilityTable,
) -> dict[tuple[str, str, str], tuple[PairedTest, PValue, PValue]]:
    """Return every test with its p-value, and corrected by Holm over all tests of the table.

    Returns
    -------
    (state, task, measure) -> test, p-value, corrected p-value.
    """
    found = [p_value(test.difference, table.bootstrap) for test in table.tests]
    # An exact test has no draws, and says what it says.
    plain = [
        None
        if one is None
        else PValue(one.value, one.at_most and test.difference.draws is not None)
        for one, test in zip(found, table.tests, strict=True)
    ]
    return {
        (test.name, test.task, test.measure): (test, one, both)
        for test, one, both in zip(table.tests, plain, holm(plain), strict=True)
        if one is not None and both is not None
    }
