"""Tuning: trials trained one after the other, each a run folder, in a folder that goes on."""

import errno
import gc
import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from corarec.backbone import load_backbone
from corarec.cf import FitConfig, fit_cf, load_cf
from corarec.cf.report import WatchFit, unwatched
from corarec.data import Dataset, KnowledgePolicy
from corarec.errors import ArtifactError, ConfigError, CorarecError, InUseError
from corarec.evaluate.metrics import METRICS, larger_is_better, metric_named
from corarec.files import real_place
from corarec.locks import lock_beside, locked, made_once
from corarec.recipe import FittedCF, RunConfig, load_recipe
from corarec.recommenders import RECOMMENDERS, TrainingData
from corarec.runs.layout import CONFIG
from corarec.system_errors import storage_errors, system_message
from corarec.text import printable
from corarec.train import train_run
from corarec.train.metrics import Record
from corarec.train.preflight import preflight
from corarec.train.run import training_rows, validation_rows
from corarec.train.start import check_sources
from corarec.tune.home import check_folder, claim, settings_of
from corarec.tune.journal import Journal
from corarec.tune.measure import measure, value_of
from corarec.tune.settings import TuneConfig
from corarec.tune.space import Space
from corarec.tune.trials import Ended, Outcome, Trial, write_outcome

CF_MODELS = "cf"
"""The CF models, each fitted once for all trials that read it."""

WatchTrial = Callable[[Trial, RunConfig], AbstractContextManager[Callable[[Record], None]]]
"""Opened for every trial; what it yields hears of the records of its training."""


def unwatched_trial(
    trial: Trial, config: RunConfig
) -> AbstractContextManager[Callable[[Record], None]]:
    """Show nothing."""
    return nullcontext(lambda record: None)


class _Pruned(Exception):  # noqa: N818 - it is no error
    pass


def tune(
    space: Space,
    folder: Path,
    config: TuneConfig,
    *,
    watch: WatchTrial = unwatched_trial,
    say: Callable[[str], None] = lambda text: None,
    watch_fit: WatchFit = unwatched,
) -> Outcome:
    """Train trials until there are `config.trials` of them, or go on where that was stopped.

    Only training and validation rows are read. The folder ends with `trials/NNN` (the runs),
    `study.journal`, `trials.parquet` and `best.yaml`, the recipe of the best trial. Several
    processes may work in one folder; each does trials that no other does.

    Parameters
    ----------
    watch
        Opened for each trial.
    say
        Called with remarks in a sentence.
    watch_fit
        Hears of the fits of CF models.

    Raises
    ------
    ConfigError
        The recipe cannot be trained, the metric is unknown, or the folder holds another tuning or
        something else.
    ArtifactError, StorageError
        A file is damaged, or the system refused; the trial goes on when the same is called again.
    """
    folder = real_place(folder)
    kind = RECOMMENDERS[space.base.system.name]
    metric = config.metric or kind.metric
    higher = kind.higher_is_better if metric == kind.metric else _larger(metric, kind.metric)
    if config.prune and metric != kind.metric:
        raise ConfigError(
            f"Pruning reads the validations of a training, which measure {kind.metric}, not "
            f"{metric}. Leave out --prune, or --metric."
        )
    dataset = Dataset.load(space.base.data).under(space.base.knowledge)
    check_folder(folder)
    _check_recipe(space, dataset, metric)
    if config.sampler == "grid":
        space.grid(config.seed)
    begun = claim(folder, settings_of(space, config, metric, dataset), space.base)
    # What is drawn follows from the order of the keys, which a file may say anew in another one.
    space = replace(space, axes={key: space.axes[key] for key in begun["space"]})
    journal = Journal(folder, space, config, higher_is_better=higher)
    return _Tuning(space, folder, metric, dataset, journal, watch, say, watch_fit).run()


@dataclass(frozen=True)
class _Tuning:
    """A tuning under way; see `tune`."""

    space: Space
    folder: Path
    metric: str
    dataset: Dataset
    journal: Journal
    watch: WatchTrial
    say: Callable[[str], None]
    watch_fit: WatchFit

    def run(self) -> Outcome:
        """Do trials until none is left that no other process does."""
        while True:
            with ExitStack() as held:
                trial = self._next(held)
                if trial is None:
                    break
                self.journal.end(trial, self._train(trial))
            self._write()
        return self._write()

    def _write(self) -> Outcome:
        with self.journal.locked():
            outcome = Outcome(
                self.folder,
                self.metric,
                self.journal.higher_is_better,
                self.journal.budget,
                self.journal.trials(),
            )
            write_outcome(outcome, self.space)
        return outcome

    def _next(self, held: ExitStack) -> Trial | None:
        """Return a trial that is this process's until `held` ends: one that was left, or a new."""
        with self.journal.locked():
            for trial in self.journal.trials():
                if trial.state == "running" and self._take(trial, held):
                    return trial
            begun = self.journal.begin()
            if begun is not None:
                self._take(begun, held)
            return begun

    def _take(self, trial: Trial, held: ExitStack) -> bool:
        lock = lock_beside(self.folder / trial.folder)
        try:
            held.enter_context(locked(lock, f"Trial {trial.number}"))
        except InUseError:
            return False
        return True

    def _train(self, trial: Trial) -> Ended:
        """Train and measure a trial; what comes of its values, errors too, is its result."""
        run = self.folder / trial.folder
        try:
            config = _with_shared_cf(
                self._config(trial, run), self.dataset, self.folder / CF_MODELS, self.watch_fit
            )
            with self.watch(trial, config) as show:
                hear = self._pruning(trial, config, show) if self.journal.config.prune else show
                train_run(config, run, show=hear, say=self.say, watch_fit=self.watch_fit)
            return measure(run, config, self.dataset, self.metric)
        except _Pruned as pruned:
            return Ended("pruned", reason=str(pruned))
        except Exception as error:  # a system of another package may raise anything
            if not self._of_the_trial(error):
                raise
            return Ended("failed", reason=_reason(error))
        finally:
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def _of_the_trial(self, error: Exception) -> bool:
        """Whether an error comes of the values of a trial; else the tuning stops with it."""
        if isinstance(error, ArtifactError):
            return any(key.startswith(("system.backbone", "cf")) for key in self.space.axes)
        if isinstance(error, OSError):
            return error.errno == errno.ENOMEM
        return not isinstance(error, InUseError)

    def _config(self, trial: Trial, run: Path) -> RunConfig:
        """Return the recipe of a trial; of one that was begun as it was begun."""
        if (run / CONFIG).exists():
            return load_recipe(run / CONFIG).model_copy(update={"data": self.space.base.data})
        return self.space.config(trial.values)

    def _pruning(
        self, trial: Trial, config: RunConfig, show: Callable[[Record], None]
    ) -> Callable[[Record], None]:
        last = config.phases[-1].name

        def hear(record: Record) -> None:
            show(record)
            value = record.get(f"valid_{self.metric}")
            if value is None or record.get("phase", "") != last:
                return
            if self.journal.should_prune(trial, value, record["step"]):
                raise _Pruned(f"its {self.metric} was behind the others' at step {record['step']}")

        return hear


def _reason(error: Exception) -> str:
    if isinstance(error, CorarecError):
        return str(error)
    return printable(system_message(error) or f"{type(error).__name__}: {error}")


def _with_shared_cf(
    config: RunConfig, dataset: Dataset, folder: Path, watch: WatchFit
) -> RunConfig:
    """Return a recipe whose CF model is fitted, once for all trials that ask for the same one."""
    if not isinstance(config.cf, FitConfig):
        return config
    asked = f"{config.cf.model_dump_json()} {config.seed}"
    if config.knowledge != KnowledgePolicy():
        asked += f" {config.knowledge.model_dump_json()}"
    fitted = folder / hashlib.sha256(asked.encode()).hexdigest()[:12]
    with storage_errors(folder), made_once(fitted) as missing:
        if missing:
            known = dataset.under(config.knowledge)
            fit_cf(known, config.cf, seed=config.seed, output=fitted, watch=watch)
    return config.model_copy(update={"cf": FittedCF(path=fitted)})


def _check_recipe(space: Space, dataset: Dataset, metric: str) -> None:
    """See that the recipe can be trained at all: else each trial would fail for the same reason."""
    base = space.base
    preflight(base.train)
    check_sources(base.phases, None)
    valid = validation_rows(dataset, base.train)
    if metric in METRICS and value_of(metric, dataset, valid, np.zeros(len(valid))) is None:
        raise ConfigError(
            f"The {metric} has no value on the {len(valid)} validation rows: it needs rows of both "
            "labels, uauc those of one user. Take more of them (train.validation_rows), or another "
            "--metric."
        )
    for phase in base.phases:
        rows = training_rows(dataset, phase.train.train_from)
        RECOMMENDERS[base.system.name].check(TrainingData(dataset, rows, valid))
    if isinstance(base.cf, FittedCF):
        load_cf(base.cf.path, dataset.fingerprint)
    if not any(key.startswith("system.backbone") for key in space.axes):
        load_backbone(base.system.backbone)


def _larger(metric: str, own: str) -> bool:
    try:
        metric_named(metric)
    except ConfigError as error:
        raise ConfigError(f"{error} Or leave --metric out: the system's own is {own}.") from error
    return larger_is_better(metric)
