"""Checks that rows can be evaluated, averaged over seeds and compared."""

from collections.abc import Mapping, Sequence

import numpy as np

from corarec.errors import DataError
from corarec.evaluate.metrics import Metric
from corarec.evaluate.parts import Parts, warm_cold_parts
from corarec.types import ScoreTable

Tables = ScoreTable | Sequence[ScoreTable]
"""One score table, or one per seed, all over the same rows."""


def checked_seeds(tables: Tables, name: str, metrics: Mapping[str, Metric]) -> list[ScoreTable]:
    """Return the tables as a list, one per seed, once they can be evaluated.

    Raises
    ------
    DataError
        There are no rows, all labels are the same and a metric needs both, a label is not 0 or 1,
        a score is not finite, or the tables are not over the same rows.
    """
    seeds = [tables] if isinstance(tables, ScoreTable) else list(tables)
    if not seeds or not len(seeds[0]):
        raise DataError(f"There are no scores of {name} to evaluate. Is the split empty?")
    for number, table in enumerate(seeds):
        check_table(table, f"{name}, table {number}" if len(seeds) > 1 else name)
        check_same_rows(seeds[0], table, f"{name}, table 0", f"{name}, table {number}")
    without = [metric.title for metric in metrics.values() if metric.needs_both_labels]
    if without and len(np.unique(seeds[0].labels)) == 1:
        raise DataError(
            f"All {len(seeds[0])} rows of {name} have the label {seeds[0].labels[0]}, so "
            f"{without[0]} has no value. Evaluate on rows with both labels: check the rating "
            "threshold, or add sampled negatives."
        )
    return seeds


def check_same_rows(first: ScoreTable, second: ScoreTable, one: str, other: str) -> None:
    """Make sure that two tables differ in nothing but their scores.

    Raises
    ------
    DataError
        Naming the column and the first row that differ (rows count from 0).
    """
    if len(first) != len(second):
        raise DataError(
            f"{one} has {len(first)} rows and {other} has {len(second)}; a mean over seeds and a "
            "paired test need the same rows. Score both on the same split of the same dataset."
        )
    for column in ("user_ids", "item_ids", "labels", "warm"):
        left, right = getattr(first, column), getattr(second, column)
        different = np.flatnonzero(left != right)
        if len(different):
            row = different[0]
            raise DataError(
                f"{one} and {other} differ in {column} at row {row}: {left[row]} and {right[row]}. "
                "Score both on the same split of the same dataset, in the same order of rows."
            )


def all_parts(table: ScoreTable, parts: Parts | None) -> Parts:
    """Put `all` before the parts, which are warm and cold unless given.

    Raises
    ------
    DataError
        A mask does not have one value per row.
    """
    chosen = warm_cold_parts(table) if parts is None else parts
    for name, rows in chosen.items():
        if rows.shape != (len(table),):
            raise DataError(
                f"The mask of part {name!r} has shape {rows.shape}; it must have one value for "
                f"each of the {len(table)} rows."
            )
    return {"all": np.ones(len(table), dtype=np.bool_)} | chosen


def check_table(table: ScoreTable, name: str = "the score table") -> None:
    """Make sure that every label is 0 or 1 and every score is a finite number.

    Raises
    ------
    DataError
        Naming how many rows are wrong and the first of them (rows count from 0).
    """
    wrong_labels = np.flatnonzero((table.labels != 0) & (table.labels != 1))
    if len(wrong_labels):
        row = wrong_labels[0]
        raise DataError(
            f"{len(wrong_labels)} of {len(table)} labels in {name} are not 0 or 1; the first is "
            f"row {row} with {table.labels[row]}. Make labels from ratings with a threshold first."
        )
    wrong_scores = np.flatnonzero(~np.isfinite(table.scores))
    if len(wrong_scores):
        row = wrong_scores[0]
        raise DataError(
            f"{len(wrong_scores)} of {len(table)} scores in {name} are not finite numbers; the "
            f"first is row {row} (user {table.user_ids[row]}, item {table.item_ids[row]}) with "
            f"{table.scores[row]}. Metrics never repair scores: look at the model that made them."
        )
