"""A log of JSON lines that is appended to, and that a killed writer may leave with a torn line."""

import json
import os
from pathlib import Path
from typing import Any

from corarec.errors import ArtifactError
from corarec.files import atomic_file


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Write one record at the end and force it to disk."""
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records, oldest first; none where there is no file.

    A last line that was cut off in the middle of a write is left out.

    Raises
    ------
    ArtifactError
        A line before the last is no record.
    """
    # Whole lines end in a line feed; a torn one may end within a character.
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(_record(line))
        except ValueError as error:
            if number < len(lines):
                raise ArtifactError(
                    f"{path} line {number} is not JSON of keys and values ({error}). Remove the "
                    "line to read the rest."
                ) from error
    return records


def keep_records(path: Path, last_step: int, phase: str | None = None) -> list[dict[str, Any]]:
    """Drop the records behind a step, and a torn line; return what is left.

    With `phase`, only those of that phase: the others are of finished ones.

    Raises
    ------
    ArtifactError
        See `read_records`; or a record has no step.
    """
    records = read_records(path)
    if without := [n for n, record in enumerate(records, start=1) if "step" not in record]:
        raise ArtifactError(f"{path} line {without[0]} has no `step`. Remove the line to go on.")
    kept = [
        record for record in records if record["step"] <= last_step or record.get("phase") != phase
    ]
    with atomic_file(path) as temporary:
        lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in kept]
        temporary.write_text("".join(lines), "utf-8")
    return kept


def _record(line: bytes) -> dict[str, Any]:
    value = json.loads(line.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError(f"it holds {type(value).__name__}")  # noqa: TRY004
    return value
