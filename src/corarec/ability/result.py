"""What was found, as records that become JSON and come back from it."""

from typing import Any

from corarec.evaluate.bootstrap import BootstrapConfig
from corarec.evaluate.result import Difference, Estimate, Result

UNTOUCHED = "untouched model"


class TaskRecord(Result):
    """A file that was asked or predicted."""

    name: str
    file: str
    """Its name without folders."""
    kind: str
    """choice, exact, rouge, prompts, text or description."""
    rows: int
    """Examples in the file."""
    sampled: int
    """Examples that were used."""
    chance: float | None = None
    """What guessing among the choices gets right."""
    constant: float | None = None
    """What always naming one label, the best, gets right in this sample."""
    shortened: int = 0
    """Examples of which the model could read the end only (of texts: the beginning)."""


class Finding(Result):
    """One measure of one state of the model on one task."""

    task: str
    measure: str
    examples: int
    estimate: Estimate


class StateRecord(Result):
    """One state of the language model."""

    name: str
    run: str | None
    """Name of the run's folder; None for the untouched model."""
    system: str | None
    what: str
    """What acts in general text, in words."""
    bit_identical: bool | None
    """Whether every logit that was compared is that of the untouched model, bit for bit; None where
    nothing was."""
    seconds: float
    """Of processor time."""
    findings: list[Finding]


class PairedTest(Result):
    """A state against the untouched model on the same examples."""

    name: str
    task: str
    measure: str
    difference: Difference
    """State minus untouched."""


class AbilityTable(Result):
    """General ability before and after training, of systems on one language model."""

    backbone: str
    """The fingerprint of the untouched model."""
    model: str
    """Where it is found."""
    dtype: str
    limit: int | None
    """The most examples of a file."""
    seed: int
    bootstrap: BootstrapConfig
    tasks: list[TaskRecord]
    states: list[StateRecord]
    tests: list[PairedTest]
    notes: list[str]
    """What was left out, and why."""
    provenance: dict[str, Any] | None = None

    def finding(self, state: str, task: str, measure: str) -> Finding | None:
        """Return one finding, if there is one."""
        for record in self.states:
            if record.name == state:
                for found in record.findings:
                    if (found.task, found.measure) == (task, measure):
                        return found
        return None
