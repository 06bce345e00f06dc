"""Puts a result into a folder: JSON, Markdown, and every value as Parquet."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from corarec.ability.measured import Measurements
from corarec.ability.result import AbilityTable
from corarec.files import atomic_directory, real_place
from corarec.ownership import check_inputs_survive, check_replaceable

KIND = "general ability"
RESULT, EXAMPLES, PAGE = "results.json", "examples.parquet", "results.md"
_SCHEMA = {
    "state": pl.String,
    "task": pl.String,
    "measure": pl.String,
    "row": pl.Int64,
    "value": pl.Float64,
    "size": pl.Float64,
    "answer": pl.String,
}


def check_output(output: Path, inputs: Sequence[Path]) -> Path:
    """See that a result can be kept in `output`, before any work is done.

    Raises
    ------
    ConfigError
        Something else stands there, or an input would be lost.
    """
    place = real_place(output)
    check_inputs_survive(place, inputs)
    check_replaceable(place, KIND)
    return place


def keep(table: AbilityTable, measured: Measurements, page: str, output: Path) -> None:
    """Write the folder, whole or not at all.

    `examples.parquet` has a row for each state, task, measure and example: the example's row in its
    file, its value (of bits per byte the bits, and the bytes as `size`), and what was written.
    """
    with atomic_directory(output, KIND) as new:
        text = json.dumps(table.model_dump(mode="json"), indent=2, ensure_ascii=False)
        (new / RESULT).write_text(text + "\n", "utf-8")
        (new / PAGE).write_text(page, "utf-8")
        pl.DataFrame(list(_rows(measured)), schema=_SCHEMA, orient="row").write_parquet(
            new / EXAMPLES
        )


def _rows(measured: Measurements) -> Iterator[tuple[Any, ...]]:
    for state, found in measured.items():
        for (task, measure), values in found.values.items():
            count = len(values.values)
            sizes = [None] * count if values.sizes is None else values.sizes.tolist()
            answers = [None] * count if values.answers is None else list(values.answers)
            for row, value, size, answer in zip(
                values.rows, values.values.tolist(), sizes, answers, strict=True
            ):
                yield state, task, measure, row, value, size, answer
