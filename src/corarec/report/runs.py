"""From a run folder to its results: scores kept as Parquet, metrics as JSON, every look logged."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import polars as pl
from pydantic import ValidationError

from corarec.data import Dataset, Split
from corarec.errors import ArtifactError
from corarec.evaluate import (
    BootstrapConfig,
    Comparison,
    Evaluation,
    LabelledPairs,
    ResultTable,
    TrivialReferences,
    compare,
    evaluate,
    interaction_parts,
    log_test_evaluation,
)
from corarec.evaluate.result import Result
from corarec.files import atomic_file, read_json, write_json
from corarec.runs import Run
from corarec.types import ScoreTable

RESULTS = "results"
Kept = TypeVar("Kept", bound=Result)


def evaluate_run(
    run: Run,
    split: Split,
    *,
    min_interactions: int | None = None,
    config: BootstrapConfig | None = None,
    progress: Callable[[int], None] | None = None,
) -> ResultTable:
    """Score one part with a run, its CF model and the trivial references, and keep all of it.

    Beside all rows stand the warm and the cold ones; with `min_interactions` instead those whose
    user and item both have so many interactions in train, and the others.

    Writes `results/SPLIT.json`, and the scores of every row as `results/SPLIT.parquet`; a look at
    the test part is added to the run's `test_evaluations.jsonl`.
    """
    dataset = run.dataset
    pairs = dataset.pairs(split)
    system: str = run.config.system.name
    scores = {system: run.scorer.score(pairs, progress=progress)}
    if run.cf is not None:
        scores[f"{run.cf.name} alone"] = run.cf.score(pairs)
    references = TrivialReferences(_labelled(dataset, "train"), _labelled(dataset, "valid"))
    scores_beside = references.scores(pairs)
    tables = {
        name: dataset.score_table(split, values)
        for name, values in (scores | scores_beside).items()
    }
    parts = None
    if min_interactions is not None:
        parts = interaction_parts(tables[system], dataset.pairs("train"), min_interactions)
    evaluations = {
        name: evaluate(table, name, parts=parts, config=config) for name, table in tables.items()
    }
    result = ResultTable(
        dataset=dataset.card.name,
        split=split,
        systems=[evaluations[name] for name in scores],
        references=[evaluations[name] for name in scores_beside],
        comparisons=[
            compare(tables[system], tables[other], (system, other), parts=parts, config=config)
            for other in tables
            if other != system
        ],
    )
    if split == "test":
        log_test_evaluation(run.folder, evaluations[system])
    _write_scores(run.folder, split, tables)
    write_json(run.folder / RESULTS / f"{split}.json", result.model_dump(mode="json"))
    return result


def read_results(folder: Path, split: Split) -> ResultTable:
    """Return what `evaluate_run` found.

    Raises
    ------
    ArtifactError
        The run was not evaluated on this part.
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
        The run was not evaluated on this part, or has no such column.
    """
    path = folder / RESULTS / f"{split}.parquet"
    if not path.exists():
        raise _not_evaluated(folder, split)
    frame = pl.read_parquet(path)
    systems = frame.columns[len(_TRUTH) :]
    if column is not None and column not in systems:
        raise ArtifactError(f"{path} has no scores of {column!r}, only of {', '.join(systems)}.")
    user_ids, item_ids, labels, warm = (frame[name].to_numpy() for name in _TRUTH)
    return ScoreTable(user_ids, item_ids, labels, warm, frame[column or systems[0]].to_numpy())


def compare_runs(
    first: Sequence[Path],
    second: Sequence[Path],
    split: Split,
    *,
    names: tuple[str, str],
    second_column: str | None = None,
    config: BootstrapConfig | None = None,
) -> tuple[list[Evaluation], Comparison]:
    """Compare two systems, each as the mean over its runs (seeds), on the rows they share.

    `second_column` compares with something that the second runs were evaluated beside, such as
    their CF model, instead of with the runs themselves.
    """
    left = [read_scores(folder, split) for folder in first]
    right = [read_scores(folder, split, second_column) for folder in second]
    evaluations = [
        evaluate(tables, name, config=config)
        for tables, name in zip((left, right), names, strict=True)
    ]
    return evaluations, compare(left, right, names, config=config)


def _labelled(dataset: Dataset, split: Split) -> LabelledPairs:
    return LabelledPairs(dataset.pairs(split), dataset.labels(split))


def _not_evaluated(folder: Path, split: Split) -> ArtifactError:
    return ArtifactError(
        f"{folder} has no scores on {split}. Run `corarec evaluate {folder} --split {split}`."
    )


_TRUTH = ("user_id", "item_id", "label", "warm")


def _write_scores(folder: Path, split: Split, tables: dict[str, ScoreTable]) -> None:
    first = next(iter(tables.values()))
    truth = (first.user_ids, first.item_ids, first.labels, first.warm)
    columns = {
        **dict(zip(_TRUTH, truth, strict=True)),
        **{name: table.scores for name, table in tables.items()},
    }
    with atomic_file(folder / RESULTS / f"{split}.parquet") as temporary:
        pl.DataFrame(columns).write_parquet(temporary)
