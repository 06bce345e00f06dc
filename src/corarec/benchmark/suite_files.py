"""The results of a suite as tables of numbers: Parquet and JSON."""

from pathlib import Path
from typing import Any

import polars as pl

from corarec.benchmark.suite import BESIDE
from corarec.benchmark.suite_result import SuiteResult
from corarec.evaluate.result import Evaluation
from corarec.evaluate.significance import corrected_p_values
from corarec.files import atomic_file, write_json

RESULTS_SCHEMA = {
    "system": pl.String,
    "kind": pl.String,
    "part": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "std": pl.Float64,
    "seeds": pl.Int64,
    "seeds_wanted": pl.Int64,
    "rows": pl.Int64,
    "positives": pl.Int64,
    "users": pl.Int64,
    "users_in_uauc": pl.Int64,
    "published": pl.Float64,
    "published_source": pl.String,
}
"""`results.parquet`: one row per system, part and metric. `kind` is recipe, use, beside or
reference; `std` is over seeds, null for one; no value is null."""
COMPARISONS_SCHEMA = {
    "first": pl.String,
    "second": pl.String,
    "part": pl.String,
    "metric": pl.String,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_holm": pl.Float64,
    "tests": pl.Int64,
    "first_seeds": pl.Int64,
    "second_seeds": pl.Int64,
    "rows": pl.Int64,
    "users": pl.Int64,
    "users_in_uauc": pl.Int64,
}
"""`comparisons.parquet`: one row per pair, part and metric; `p_holm` is corrected for the `tests`
of that metric on that part."""


def results_frame(result: SuiteResult) -> pl.DataFrame:
    """Return every metric of every row and reference."""
    rows = [row for one in result.systems for row in _metric_rows(one, _kind(one, result), result)]
    rows += [row for one in result.references for row in _metric_rows(one, "reference", result)]
    return pl.DataFrame(rows, RESULTS_SCHEMA, orient="row")


def comparisons_frame(result: SuiteResult) -> pl.DataFrame:
    """Return every paired test."""
    corrected = corrected_p_values(result.comparisons)
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(result.comparisons):
        for part, of_part in one.parts.items():
            for metric, found in of_part.metrics.items():
                family = corrected[part, metric]
                holm = family[number]
                rows.append(
                    {
                        "first": one.first,
                        "second": one.second,
                        "part": part,
                        "metric": metric,
                        "difference": found and found.value,
                        "low": found and found.low,
                        "high": found and found.high,
                        "p": found and found.p_value,
                        "p_holm": holm and holm.value,
                        "tests": sum(each is not None for each in family),
                        "first_seeds": one.first_seeds,
                        "second_seeds": one.second_seeds,
                        "rows": of_part.rows,
                        "users": of_part.users,
                        "users_in_uauc": of_part.users_in_uauc,
                    }
                )
    return pl.DataFrame(rows, COMPARISONS_SCHEMA)


def write_suite_data(result: SuiteResult, folder: Path) -> list[Path]:
    """Write `results.json`, `results.parquet` and `comparisons.parquet`; return where they are."""
    paths = [folder / f"{name}.parquet" for name in ("results", "comparisons")]
    for path, frame in zip(paths, (results_frame(result), comparisons_frame(result)), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary:
            frame.write_parquet(temporary)
    write_json(folder / "results.json", result.model_dump(mode="json"))
    return [folder / "results.json", *paths]


def _kind(evaluation: Evaluation, result: SuiteResult) -> str:
    row = result.rows.get(evaluation.name)
    return row.kind if row else "beside"


def _metric_rows(one: Evaluation, kind: str, result: SuiteResult) -> list[tuple[Any, ...]]:
    row = result.rows.get(one.name) or result.rows.get(one.name.partition(BESIDE)[0])
    rows: list[tuple[Any, ...]] = []
    for part, of_part in one.parts.items():
        for metric, found in of_part.metrics.items():
            published, source = None, None
            if part == "all" and one.name in result.rows:
                for each in result.rows[one.name].published:
                    if metric in each.metrics:
                        published, source = each.metrics[metric], each.source
                        break
            numbers = (
                (None,) * 4 if found is None else (found.value, found.low, found.high, found.spread)
            )
            counts = (of_part.rows, of_part.positives, of_part.users, of_part.users_in_uauc)
            wanted = row.seeds_wanted if row else one.seeds
            rows.append(
                (
                    *(one.name, kind, part, metric),
                    *numbers,
                    *(one.seeds, wanted),
                    *counts,
                    *(published, source),
                )
            )
    return rows
