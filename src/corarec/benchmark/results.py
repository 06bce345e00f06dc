"""What a run folder keeps of its measuring: scores as Parquet, metrics as JSON."""

from pathlib import Path
from typing import TypeVar

import polars as pl
from pydantic import ValidationError

from corarec.benchmark.references import NO_LOGITS
from corarec.data import Split
from corarec.errors import ArtifactError
from corarec.evaluate import RankingTable, ResultTable
from corarec.evaluate.result import Result
from corarec.files import atomic_file, read_json, write_json
from corarec.text import printable
from corarec.types import ScoreTable

RESULTS = "results"
_TRUTH = ("user_id", "item_id", "label", "warm")
Kept = TypeVar("Kept", bound=Result)


def write_results(folder: Path, result: ResultTable, tables: dict[str, ScoreTable]) -> None:
    """Keep the metrics of a split, and the scores of every row that they are made of.

    Parameters
    ----------
    tables
        By name of the column; the run's own scores come first.
    """
    first = next(iter(tables.values()))
    truth = (first.user_ids, first.item_ids, first.labels, first.warm)
    columns = {
        **dict(zip(_TRUTH, truth, strict=True)),
        **{name: table.scores for name, table in tables.items()},
    }
    with atomic_file(folder / RESULTS / f"{result.split}.parquet") as temporary:
        pl.DataFrame(columns).write_parquet(temporary)
    write_json(folder / RESULTS / f"{result.split}.json", result.model_dump(mode="json"))


def result_files(folder: Path, split: str) -> tuple[Path, Path]:
    """Return the two files that `write_results` makes of a split."""
    return folder / RESULTS / f"{split}.json", folder / RESULTS / f"{split}.parquet"


def write_ranking(folder: Path, result: RankingTable) -> None:
    """Keep the metrics of a ranking."""
    write_json(folder / RESULTS / f"{result.split}-ranking.json", result.model_dump(mode="json"))


def read_results(folder: Path, split: Split) -> ResultTable:
    """Return what `evaluate_run` found.

    Raises
    ------
    ArtifactError
        The run was not evaluated on this split.
    """
    path = folder / RESULTS / f"{split}.json"
    if not path.exists():
        raise _not_evaluated(folder, split)
    return read_record(path, ResultTable)


def read_record(path: Path, kind: type[Kept]) -> Kept:
    """Return the record of a file of results.

    Raises
    ------
    ArtifactError
        The file holds something else, such as the record of another version.
    """
    try:
        return kind.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ArtifactError(
            f"{path} does not hold results of this version: {place}: {first['msg']}. "
            "Delete it and evaluate again."
        ) from None


def read_scores(folder: Path, split: Split, column: str | None = None) -> ScoreTable:
    """Return the scores that `evaluate_run` kept: the run's own, or those of another column.

    Raises
    ------
    ArtifactError
        The run was not evaluated on this split, or has no such column.
    """
    path = folder / RESULTS / f"{split}.parquet"
    if not path.exists():
        raise _not_evaluated(folder, split)
    try:
        frame = pl.read_parquet(path, glob=False)
        user_ids, item_ids, labels, warm = (frame[name].to_numpy() for name in _TRUTH)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise ArtifactError(
            f"{path} does not hold scores of this version ({printable(error, 200)}). Delete it and "
            "evaluate again."
        ) from error
    systems = [name for name in frame.columns if name not in _TRUTH]
    chosen = next(iter(systems), "the run") if column is None else column
    if chosen not in systems or not frame[chosen].dtype.is_float():
        raise ArtifactError(
            f"{path} has no scores of {chosen!r}, only of {', '.join(systems) or 'nothing'}. "
            "Delete it and evaluate again."
        )
    scores = frame[chosen].to_numpy()
    return ScoreTable(user_ids, item_ids, labels, warm, scores, chosen not in NO_LOGITS)


def read_ranking(folder: Path, split: Split) -> RankingTable | None:
    """Return what `rank_run` found; None where it was not asked."""
    path = folder / RESULTS / f"{split}-ranking.json"
    return read_record(path, RankingTable) if path.exists() else None


def _not_evaluated(folder: Path, split: Split) -> ArtifactError:
    return ArtifactError(
        f"{folder} has no scores on {split}. Run `corarec evaluate {folder} --split {split}`."
    )
