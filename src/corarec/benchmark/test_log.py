"""The log of evaluations on the test split: validation chooses, test reports, and this counts."""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError, model_validator

from corarec.errors import ArtifactError
from corarec.evaluate.result import Evaluation, RankingEvaluation, Result

LOG_NAME = "test_evaluations.jsonl"


class LoggedEvaluation(Result):
    """One look at the test split."""

    time: str
    """UTC, ISO 8601."""
    command: str
    system: str
    seeds: int
    rows: int
    """Rows scored; for a ranking the users ranked for."""
    metrics: dict[str, float | None]
    """Over all rows, or of a ranking of the catalogue, by name."""

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, values: Any) -> Any:
        """Read a line that was written when AUC and UAUC were the only metrics of rows."""
        if not isinstance(values, dict) or "metrics" in values or "auc" not in values:
            return values
        old = dict(values)
        rows = {name: old.pop(name, None) for name in ("auc", "uauc")}
        return old | {"metrics": old.pop("ranking", None) or rows}


def log_test_evaluation(
    run_folder: Path,
    evaluation: Evaluation | RankingEvaluation,
    command: Sequence[str] | None = None,
) -> LoggedEvaluation:
    """Append one evaluation on the test split to the log of a run folder, and force it to disk.

    Parameters
    ----------
    run_folder
        The folder of the run; it must exist.
    evaluation
        What was seen.
    command
        What was typed; by default the arguments of this process.

    Raises
    ------
    ArtifactError
        The run folder does not exist.
    """
    if not run_folder.is_dir():
        raise ArtifactError(
            f"{run_folder} is not a folder, so the look at the test split cannot be logged. "
            "Give the folder of a run."
        )
    entry = LoggedEvaluation(
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        command=shlex.join(sys.argv if command is None else command),
        system=evaluation.name,
        **_seen(evaluation),
    )
    # One write to a file opened for appending: two processes cannot mix their lines, and what was
    # logged before is never rewritten. A line cut off by a crash stays alone on its line.
    line = entry.model_dump_json() + "\n"
    path = run_folder / LOG_NAME
    with path.open("ab+") as log:
        if log.tell() and not _ends_with_newline(path):
            line = "\n" + line
        log.write(line.encode("utf-8"))
        log.flush()
        os.fsync(log.fileno())
    return entry


def count_test_evaluations(run_folder: Path) -> int:
    """Count the looks at the test split, one whose line was cut off included; 0 without a log."""
    return len(_lines(run_folder))


def read_test_evaluations(run_folder: Path) -> list[LoggedEvaluation]:
    """Read the log, oldest first; empty without a log.

    Raises
    ------
    ArtifactError
        A line is damaged; the message names it.
    """
    entries = []
    for number, line in _lines(run_folder):
        try:
            entries.append(LoggedEvaluation.model_validate(json.loads(line)))
        except (json.JSONDecodeError, ValidationError) as error:
            raise ArtifactError(
                f"{run_folder / LOG_NAME}, line {number} is not a record of an evaluation: "
                f"{line[:80]!r}. It was cut off or edited; the count still includes it. "
                "Mend or delete this line."
            ) from error
    return entries


def _seen(evaluation: Evaluation | RankingEvaluation) -> dict[str, Any]:
    if isinstance(evaluation, RankingEvaluation):
        metrics = {name: estimate.value for name, estimate in evaluation.metrics.items()}
        return {"seeds": 1, "rows": evaluation.users, "metrics": metrics}
    whole = evaluation.whole
    return {
        "seeds": evaluation.seeds,
        "rows": whole.rows,
        "metrics": {name: estimate and estimate.value for name, estimate in whole.metrics.items()},
    }


def _lines(run_folder: Path) -> list[tuple[int, str]]:
    path = run_folder / LOG_NAME
    if not path.exists():
        return []
    lines = path.read_text("utf-8", errors="replace").splitlines()
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as log:
        log.seek(-1, os.SEEK_END)
        return log.read(1) == b"\n"
