"""What was measured as the records of a result."""

from pathlib import Path

from corarec.ability.intervals import estimate, paired
from corarec.ability.measured import MEASURES, Measured, Measurements
from corarec.ability.repetition import TASK
from corarec.ability.result import UNTOUCHED, Finding, PairedTest, StateRecord, TaskRecord
from corarec.ability.wanted import Before, Wanted
from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.runs import Run


def state_record(
    state: str,
    folder: Path | None,
    run: Run | None,
    what: str,
    found: Measured,
    measured: Measurements,
    wanted: Wanted,
) -> StateRecord:
    """Return one state with its intervals; `measured` holds the untouched model's too."""
    compared = bool(wanted.tasks or wanted.texts)
    return StateRecord(
        name=state,
        run=None if folder is None else folder.resolve().name,
        system=None if run is None else run.config.system.name,
        what=what,
        bit_identical=found.digest == measured[UNTOUCHED].digest if compared else None,
        seconds=round(found.seconds, 1),
        findings=[
            Finding(
                task=task,
                measure=measure,
                examples=len(values.values),
                estimate=estimate(MEASURES[measure], values, wanted.bootstrap),
            )
            for (task, measure), values in found.values.items()
        ],
    )


def task_records(wanted: Wanted, before: Before) -> list[TaskRecord]:
    """Return what was asked and predicted."""
    records = [
        TaskRecord(
            name=task.name,
            file=task.path.name,
            kind=task.kind,
            rows=task.rows,
            sampled=len(task.examples),
            chance=task.chance,
            constant=task.constant,
            shortened=before.shortened[task.name],
        )
        for task in wanted.tasks
    ]
    records += [
        TaskRecord(
            name=texts.name,
            file=texts.path.name,
            kind="text",
            rows=texts.rows,
            sampled=len(texts.texts),
            shortened=before.shortened[texts.name],
        )
        for texts in wanted.texts
    ]
    if before.pairs is not None:
        count = len(before.pairs)
        records.append(
            TaskRecord(name=TASK, file="", kind="description", rows=count, sampled=count)
        )
    return records


def paired_tests(measured: Measurements, config: BootstrapConfig) -> list[PairedTest]:
    """Return every state's tests against the untouched model."""
    untouched = measured[UNTOUCHED].values
    return [
        PairedTest(
            name=state,
            task=task,
            measure=measure,
            difference=paired(MEASURES[measure], values, untouched[task, measure], config),
        )
        for state, found in measured.items()
        if state != UNTOUCHED
        for (task, measure), values in found.values.items()
        if not MEASURES[measure].against_untouched
    ]
