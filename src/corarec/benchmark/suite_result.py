"""What a suite found: rows with their metrics, their cost and what made them, and paired tests."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from corarec.benchmark.plan import Planner
from corarec.benchmark.results import read_scores, result_files
from corarec.benchmark.same_run import run_content
from corarec.benchmark.suite import BESIDE, KINDS, REFERENCES, Published, Row, Suite
from corarec.cf.identity import read_identity
from corarec.errors import ArtifactError
from corarec.evaluate import (
    BootstrapConfig,
    Parts,
    ResultTable,
    compare,
    evaluate,
    interaction_parts,
    item_parts,
    warm_cold_parts,
)
from corarec.evaluate.result import Result
from corarec.evaluate.rows import check_same_rows
from corarec.provenance import provenance
from corarec.recipe import load_recipe
from corarec.recommenders import RECOMMENDERS
from corarec.runs.dataset import find_dataset, read_run_data
from corarec.runs.layout import CF, CONFIG
from corarec.train.metrics import best_record, read_metrics
from corarec.train.record import read_training
from corarec.types import Pairs, ScoreTable


class RunFacts(Result):
    """What is known of one run."""

    seed: int
    folder: str
    recipe: str
    """The first digits of the digest of its recipe, CF model included; the same for all seeds,
    wherever data and models lie."""
    commit: str | None = None
    """At training; None where that was not recorded."""
    versions: dict[str, str] = Field(default_factory=dict)
    steps: int | None = None
    validation: dict[str, float] = Field(default_factory=dict)
    """The metric that chose the kept weights, by its name, on the recipe's validation rows."""
    seconds: float | None = None
    """Training, wall clock."""
    cpu_seconds: float | None = None
    peak_memory_mb: float | None = None
    peak_gpu_memory_mb: float | None = None
    trainable_parameters: int | None = None


class RowFacts(Result):
    """What is known of a row besides its metrics."""

    kind: str
    """`recipe`, `use`, `beside` or `ensemble`, as in the suite."""
    seeds_wanted: int
    """Of an ensemble, which is one system, 1."""
    runs: list[RunFacts] = Field(default_factory=list)
    published: list[Published] = Field(default_factory=list)


class SuiteResult(ResultTable):
    """A results table with what belongs to its rows; a `ResultTable` reads the common part."""

    title: str = ""
    notes: str = ""
    suite: str
    """Name of the suite's file without its ending."""
    metrics: tuple[str, ...]
    rows: dict[str, RowFacts]
    """Every row of the suite, those without a run included."""
    missing: list[str] = Field(default_factory=list)
    """What is not in the table for want of runs, in sentences."""
    runs: int
    """How many runs the table stands on."""
    hours: float
    """Of training and validation in all."""
    provenance: dict[str, Any]
    """What made the table; what made a run stands with it."""


class SuiteTables:
    """The score tables of a suite, one per seed that was run, by name of a row or a column."""

    def __init__(self, planner: Planner) -> None:
        self._suite = planner.suite
        self._split = planner.suite.split
        self.folders: dict[str, dict[int, Path]] = {
            name: {
                seed: folder
                for seed, folder in planner.folders(name).items()
                if all(path.exists() for path in result_files(folder, self._split))
            }
            for name, row in planner.suite.systems.items()
            if row.has_runs
        }

    def of(self, name: str) -> list[ScoreTable]:
        """Return what there is of a row, of what stands beside one, or of a reference.

        An ensemble has one table, if there are all the runs that it is made of.
        """
        row = self._suite.systems.get(name)
        if row is not None and row.ensemble is not None:
            members = self.of(row.ensemble)
            return [mean_of(members)] if len(members) == len(self._suite.seeds) else []
        if row is not None and row.beside is not None:
            name = row.beside
        if name in REFERENCES:
            anywhere = self.anywhere
            return [] if anywhere is None else [read_scores(anywhere, self._split, name)]
        base, _, column = name.partition(BESIDE)
        return [
            read_scores(folder, self._split, column or None)
            for folder in self.folders[base].values()
        ]

    @property
    def anywhere(self) -> Path | None:
        """A folder with results, if there is one."""
        return next((each for found in self.folders.values() for each in found.values()), None)


def mean_of(tables: Sequence[ScoreTable]) -> ScoreTable:
    """Return the rows that all tables share with the mean of their scores.

    Raises
    ------
    DataError
        They are over different rows.
    """
    first = tables[0]
    for other in tables[1:]:
        check_same_rows(first, other, "the first seed of an ensemble", "another")
    return replace(first, scores=np.mean([table.scores for table in tables], axis=0))


def suite_result(
    planner: Planner, config: BootstrapConfig | None = None, train: Pairs | None = None
) -> SuiteResult:
    """Evaluate every row as the mean over the seeds that there are, and test the pairs.

    Parameters
    ----------
    train
        The training rows, where the suite asks for parts by the number of interactions.

    Raises
    ------
    ArtifactError
        No run of the suite was evaluated, or a row has no such column beside it.
    DataError
        Two rows are over different rows of data.
    """
    suite = planner.suite
    tables = SuiteTables(planner)
    if tables.anywhere is None:
        raise ArtifactError(
            f"No run of the suite was evaluated on {suite.split} in {planner.home}, so there is no "
            "table. Run the suite without --table-only."
        )
    names = list(suite.systems)
    pairs = wanted_comparisons(suite)
    names += [each for pair in pairs for each in pair if each not in (*names, *REFERENCES)]
    scores = {name: tables.of(name) for name in dict.fromkeys([*names, *REFERENCES])}
    parts = _parts(suite, scores[REFERENCES[0]][0], train)
    systems, references = (
        [
            evaluate(scores[name], name, metrics=suite.metrics, parts=parts, config=config)
            for name in of
            if scores[name]
        ]
        for of in (dict.fromkeys(names), REFERENCES)
    )
    facts = {name: _row_facts(row, name, suite, tables) for name, row in suite.systems.items()}
    runs = {run.folder: run for row in facts.values() for run in row.runs}
    return SuiteResult(
        title=suite.title,
        notes=suite.notes,
        suite=planner.home.name,
        dataset=read_run_data(tables.anywhere).name,
        split=suite.split,
        metrics=suite.metrics,
        systems=systems,
        references=references,
        comparisons=[
            compare(scores[a], scores[b], (a, b), metrics=suite.metrics, parts=parts, config=config)
            for a, b in pairs
            if scores[a] and scores[b]
        ],
        rows=facts,
        missing=_missing(suite, scores, pairs),
        runs=len(runs),
        hours=round(_seconds(tables) / 3600, 2),
        provenance=provenance(),
    )


def wanted_comparisons(suite: Suite) -> list[tuple[str, str]]:
    """Return the pairs to test: those that are listed, then every row against the chosen ones.

    Two things are tested once, the first time that they stand there, whatever their order and their
    names: Holm's correction counts tests, and one that says nothing new would count, too.
    """
    pairs = [*suite.comparisons]
    for against in suite.against:
        pairs += [(name, against) for name in suite.systems]
    meant = {name: row.beside or name for name, row in suite.systems.items()}
    once: dict[frozenset[str], tuple[str, str]] = {}
    for pair in pairs:
        once.setdefault(frozenset(meant.get(name, name) for name in pair), pair)
    return [pair for things, pair in once.items() if len(things) == 2]


def training_pairs(planner: Planner) -> Pairs | None:
    """Return the training rows of a suite's dataset, where its parts ask for them; else None.

    Raises
    ------
    ArtifactError
        The dataset is not there any more, or another one.
    """
    anywhere = SuiteTables(planner).anywhere
    asked = planner.suite.parts
    if not (asked.interactions or asked.item_rows) or anywhere is None:
        return None
    dataset, _ = find_dataset(anywhere, load_recipe(anywhere / CONFIG).data)
    return dataset.pairs("train")


def _parts(suite: Suite, table: ScoreTable, train: Pairs | None) -> Parts:
    parts = warm_cold_parts(table)
    if train is not None:
        for threshold in suite.parts.interactions:
            parts |= interaction_parts(table, train, threshold)
        if suite.parts.item_rows:
            parts |= item_parts(table, train, suite.parts.item_rows)
    return parts


def _row_facts(row: Row, name: str, suite: Suite, tables: SuiteTables) -> RowFacts:
    kind = next(kind for kind in KINDS if getattr(row, kind) is not None)
    found = tables.folders[name] if row.has_runs else {}
    return RowFacts(
        kind=kind,
        seeds_wanted=1 if row.ensemble is not None else len(suite.seeds),
        runs=[_run_facts(seed, folder) for seed, folder in found.items()],
        published=list(row.published),
    )


def _run_facts(seed: int, folder: Path) -> RunFacts:
    record = read_training(folder)
    lines = read_metrics(folder)
    config = load_recipe(folder / CONFIG)
    kind = RECOMMENDERS[config.system.name]
    metric, more_is_better = kind.chosen_by(config.phases[-1].system)
    best = best_record(lines, metric, more_is_better)
    of_run: dict[str, Any] = {}
    if record is not None and record.sessions:
        last = record.sessions[-1]
        of_run = {
            "commit": last.commit,
            "versions": last.versions,
            "seconds": round(record.seconds, 1),
            "cpu_seconds": round(record.cpu_seconds, 1),
            "peak_memory_mb": record.peak_memory_mb,
            "peak_gpu_memory_mb": record.peak_gpu_memory_mb,
            "trainable_parameters": record.trainable_parameters,
        }
    return RunFacts(
        seed=seed,
        folder=f"{folder.parent.name}/{folder.name}",
        recipe=_recipe_digest(folder),
        steps=int(lines[-1]["step"]) if lines else None,
        validation={} if best is None else {metric: float(best[f"valid_{metric}"])},
        **of_run,
    )


def _recipe_digest(folder: Path) -> str:
    config = load_recipe(folder / CONFIG)
    values = {key: value for key, value in run_content(config).items() if key != "seed"}
    identity = read_identity(folder / CF) if config.cf is not None else None
    cf = identity and [identity.model, identity.config]
    return hashlib.sha256(json.dumps([values, cf], sort_keys=True).encode()).hexdigest()[:12]


def _seconds(tables: SuiteTables) -> float:
    """Return the seconds of all runs, those from before there was a record by their log."""
    total = 0.0
    folders = {folder for found in tables.folders.values() for folder in found.values()}
    for folder in sorted(folders):
        record = read_training(folder)
        lines = read_metrics(folder)
        logged = float(lines[-1].get("seconds", 0)) if lines else 0.0
        total += record.seconds if record is not None and record.sessions else logged
    return total


def _missing(
    suite: Suite, scores: dict[str, list[ScoreTable]], pairs: list[tuple[str, str]]
) -> list[str]:
    wanted = {
        name: 1 if row.ensemble is not None else len(suite.seeds)
        for name, row in suite.systems.items()
    }
    nothing = [name for name in suite.systems if not scores[name]]
    untested = [
        f"{one} against {other}" for one, other in pairs if not scores[one] or not scores[other]
    ]
    said = [f"not run yet: {'; '.join(nothing)}."] if nothing else []
    said += [
        f"{name}: {there} of {wanted[name]} seeds."
        for name in suite.systems
        if 0 < (there := len(scores[name])) < wanted[name]
    ]
    if untested:
        said.append(f"not tested, for want of runs: {'; '.join(untested)}.")
    return said
