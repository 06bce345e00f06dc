"""From a run folder to its results: scores kept as Parquet, metrics as JSON, every look logged."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from corarec.benchmark.kept import references_of
from corarec.benchmark.references import NO_LOGITS
from corarec.benchmark.results import RESULTS, read_scores, write_results
from corarec.benchmark.test_log import log_test_evaluation
from corarec.data import Split
from corarec.errors import ConfigError
from corarec.evaluate import (
    BootstrapConfig,
    Comparison,
    Evaluation,
    ResultTable,
    compare,
    evaluate,
    interaction_parts,
)
from corarec.evaluate.metrics import DEFAULT_METRICS, metrics_named
from corarec.runs import Run
from corarec.runs.work import SplitWork, score_chunks
from corarec.types import FloatArray
from corarec.workers.crews import HERE, Hands
from corarec.workers.parts import Parts


def evaluate_run(
    run: Run,
    split: Split,
    *,
    metrics: Sequence[str] = DEFAULT_METRICS,
    min_interactions: int | None = None,
    config: BootstrapConfig | None = None,
    hands: Hands = HERE,
    progress: Callable[[int], None] | None = None,
) -> ResultTable:
    """Score one split with a run, its CF model and the trivial references, and keep all of it.

    Beside all rows stand the warm and the cold ones; with `min_interactions` instead those whose
    user and item both have so many interactions in train, and the others.

    Writes `results/SPLIT.json`, and the scores of every row as `results/SPLIT.parquet`; a look at
    the test split is added to the run's `test_evaluations.jsonl`. `hands` says how many processes
    score; the scores have the same bits however many. What is scored stays in `results/SPLIT.parts`
    until all is, so that the same command goes on where it was stopped.
    """
    metrics_named(metrics)  # a wrong name is told before anything is scored
    output = run.folder / RESULTS / split
    owner = run.owner | {"split": split, "rows": len(run.dataset.rows(split))}
    with Parts.held(output, f"The evaluation of {run.folder} on {split}", owner) as parts:
        scores = _split_scores(run, split, parts, hands, progress)
        return _measured(run, split, scores, metrics, min_interactions, config)


def _split_scores(
    run: Run, split: Split, parts: Parts, hands: Hands, progress: Callable[[int], None] | None
) -> FloatArray:
    """Return the run's own scores of a split: [N]."""
    work = SplitWork(run=run.place, rows=len(run.dataset.rows(split)), split=split)
    chunks = dict(score_chunks(run, work, parts, hands, progress, keep=True))
    return np.concatenate([np.empty(0), *(chunks[number] for number in range(work.chunks))])


def _measured(
    run: Run,
    split: Split,
    own: FloatArray,
    metrics: Sequence[str],
    min_interactions: int | None,
    config: BootstrapConfig | None,
) -> ResultTable:
    """Measure scores of a split beside others, and keep all of it."""
    dataset = run.dataset
    pairs = dataset.pairs(split)
    system: str = run.config.system.name
    scores = {system: own}
    if run.cf is not None:
        scores[f"{run.cf.name} alone"] = run.cf.score(pairs)
    scores_beside = references_of(dataset).scores(pairs)
    tables = {
        name: replace(dataset.score_table(split, values), logits=name not in NO_LOGITS)
        for name, values in (scores | scores_beside).items()
    }
    parts = None
    if min_interactions is not None:
        parts = interaction_parts(tables[system], dataset.pairs("train"), min_interactions)
    evaluations = {
        name: evaluate(table, name, metrics=metrics, parts=parts, config=config)
        for name, table in tables.items()
    }
    result = ResultTable(
        dataset=dataset.card.name,
        split=split,
        systems=[evaluations[name] for name in scores],
        references=[evaluations[name] for name in scores_beside],
        comparisons=[
            compare(
                tables[system],
                tables[other],
                (system, other),
                metrics=metrics,
                parts=parts,
                config=config,
            )
            for other in tables
            if other != system
        ],
    )
    if split == "test":
        log_test_evaluation(run.folder, evaluations[system])
    write_results(run.folder, result, tables)
    return result


def compare_runs(
    first: Sequence[Path],
    second: Sequence[Path],
    split: Split,
    *,
    names: tuple[str, str],
    second_column: str | None = None,
    metrics: Sequence[str] = DEFAULT_METRICS,
    config: BootstrapConfig | None = None,
) -> tuple[list[Evaluation], Comparison]:
    """Compare two systems, each as the mean over its runs (seeds), on the rows they share.

    `second_column` compares with something that the second runs were evaluated beside, such as
    their CF model, instead of with the runs themselves.

    Raises
    ------
    ArtifactError
        A run was not evaluated on this part, or its scores are damaged.
    ConfigError
        A side has the same run twice.
    """
    for side in (first, second):
        if len({folder.resolve() for folder in side}) < len(side):
            names_given = ", ".join(map(str, side))
            raise ConfigError(
                f"One run was given twice ({names_given}), which would count as two seeds. Give "
                "each run once."
            )
    left = [read_scores(folder, split) for folder in first]
    right = [read_scores(folder, split, second_column) for folder in second]
    evaluations = [
        evaluate(tables, name, metrics=metrics, config=config)
        for tables, name in zip((left, right), names, strict=True)
    ]
    return evaluations, compare(left, right, names, metrics=metrics, config=config)
