"""The pieces of work of a suite, as a worker does them: fit a shared CF model, make a run."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from corarec.benchmark.results import result_files
from corarec.benchmark.runs import evaluate_run
from corarec.cf import FitConfig, fit_cf
from corarec.data import Dataset, KnowledgePolicy
from corarec.locks import lock_beside, locked, made_once
from corarec.recipe import RunConfig
from corarec.runs import load_run
from corarec.train import train_run
from corarec.train.state import run_state
from corarec.workers.jobs import Job, Tell


class SuiteJob(Job):
    """A job that makes a folder."""

    folder: Path


class FitJob(SuiteJob):
    """A CF model that several runs share."""

    data: Path
    choice: FitConfig
    seed: int
    knowledge: KnowledgePolicy = KnowledgePolicy()

    def do(self, tell: Tell, asked: Iterable[Any] = ()) -> None:
        """Fit it, unless that was done meanwhile; another command that does it is waited for."""
        with made_once(self.folder) as missing:
            if not missing:
                return
            dataset = Dataset.load(self.data).under(self.knowledge)
            fit_cf(dataset, self.choice, seed=self.seed, output=self.folder)


class RunJob(SuiteJob):
    """One row and seed."""

    config: RunConfig
    split: Literal["valid", "test"]
    metrics: tuple[str, ...]

    def do(self, tell: Tell, asked: Iterable[Any] = ()) -> None:
        """Train to the end and evaluate, as far as neither was done before.

        Raises
        ------
        InUseError
            Another process works on this run.
        """
        with locked(lock_beside(self.folder), f"The run {self.folder}"):
            results = result_files(self.folder, self.split)
            if run_state(self.folder, self.config) != "finished":
                for path in results:  # of weights that are not the last
                    path.unlink(missing_ok=True)
            elif all(path.exists() for path in results):
                return
            train_run(self.config, self.folder, show=tell)
            tell({"evaluating": self.split})
            run = load_run(self.folder, self.config.data)
            evaluate_run(run, self.split, metrics=self.metrics)
