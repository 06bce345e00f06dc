"""One run, from its config to its best weights, in a folder that can always be resumed."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np

from corarec.backbone.compiling import forget_compiled
from corarec.cf import (
    FitConfig,
    VectorSource,
    check_knowledge,
    cutoff_time,
    fit_cf,
    load_cf,
)
from corarec.cf.report import WatchFit, unwatched
from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.files import atomic_directory
from corarec.recipe import FittedCF, RunConfig, TrainConfig
from corarec.recipe.phases import PlannedPhase
from corarec.recommenders import RECOMMENDERS, TrainingData, build_recommender
from corarec.recommenders.language import LanguageRecommender
from corarec.runs import Seal, check_folder, claimed
from corarec.runs.claim import Changes
from corarec.runs.layout import BEST, CF, phase_best, phase_folder
from corarec.train.checkpoints import (
    WEIGHTS,
    check_best,
    is_finished,
    last_checkpoint,
    last_step,
    tidy,
)
from corarec.train.metrics import MetricsLog, Record
from corarec.train.preflight import preflight
from corarec.train.record import Recorder
from corarec.train.start import adopt_sources, check_sources, load_start
from corarec.train.together import begin, first_alone, is_first, wait_for_all
from corarec.train.trainer import RecommenderTrainer
from corarec.types import IntArray

VALIDATION_SEED = 2023


def train_run(
    config: RunConfig,
    folder: Path,
    *,
    show: Callable[[Record], None] = lambda record: None,
    say: Callable[[str], None] = lambda text: None,
    watch_fit: WatchFit = unwatched,
) -> None:
    """Train what `config` describes, or go on where the run in `folder` was stopped.

    The folder ends with `config.yaml`, `cf/` (the CF model), `metrics.jsonl`, `training.json` (what
    it cost), `checkpoints/` and `best/` (the weights with the best validation metric). Where the
    recipe lists phases, their checkpoints and the best weights of all but the last are in
    `phases/`. `show` is called with every record of the metrics log, `say` with remarks in a
    sentence, and `watch_fit` hears of the fit of the CF model. Processes that `torchrun` started
    train together: each has a share of every batch, and the first writes. A run goes on with more
    steps and the like, see `corarec.recipe.free_keys`.

    Raises
    ------
    ConfigError
        The folder holds a run of another config, or the config leaves nothing to train on.
    ArtifactError
        The run in the folder has another dataset, or one of its files is damaged.
    InUseError
        Another process trains in the folder.
    TrainingError
        The loss is not finite.
    """
    begin()
    config = config.model_copy(update={"data": config.data.resolve()})
    phases = config.phases
    if is_first():
        check_folder(config, folder)
        check_sources(phases, folder)
    preflight(config.train)
    dataset = Dataset.load(config.data).under(config.knowledge)
    valid_rows = validation_rows(dataset, config.train)
    data = [
        TrainingData(dataset, training_rows(dataset, phase.train.train_from), valid_rows)
        for phase in phases
    ]
    for each in data:
        RECOMMENDERS[config.system.name].check(each)
    home: AbstractContextManager[Changes] = nullcontext({})
    if is_first():
        home = claimed(config, folder, dataset)
    with home as changes:
        if changes:
            say(prolonged(changes, last_step(phase_folder(folder, phases[-1])), phases[-1]))
        recorder = Recorder(folder)
        with first_alone():
            cf = (
                obtain_cf(config.cf, dataset, folder, config.seed, watch_fit) if config.cf else None
            )
        forget_compiled()
        recommender = build_recommender(config.system, dataset, cf, seed=config.seed)
        seal = Seal(folder, config, dataset.fingerprint)
        if recommender.trainable_parameters() == 0:
            # Nothing is trained, but what will be measured is settled here.
            if not is_first():
                return
            with atomic_directory(folder / BEST, WEIGHTS, keep_foreign=True) as best:
                seal.write(best)
            if not recorder.earlier:
                recorder.write()
            return
        for phase, of_phase in zip(phases, data, strict=True):
            recommender.check_phase(phase.system, of_phase)  # a mistake is told before any work
        with first_alone():
            adopt_sources(recommender, phases, folder, seal, say)
        for phase, of_phase in zip(phases, data, strict=True):
            _train_phase(recommender, phase, of_phase, config, folder, seal, show, recorder)


def _train_phase(
    recommender: LanguageRecommender,
    phase: PlannedPhase,
    data: TrainingData,
    config: RunConfig,
    run: Path,
    seal: Seal,
    show: Callable[[Record], None],
    recorder: Recorder,
) -> None:
    """Train one phase to its end, from where it was stopped; a finished one is left alone."""
    folder, best = phase_folder(run, phase), phase_best(run, phase)
    if is_first():
        tidy(folder, best)
    wait_for_all()
    begun = last_checkpoint(folder)
    if begun is not None:
        seal.check(begun)
        check_best(folder, best, seal)
        if is_finished(folder, phase.train):
            return
    recommender.begin(phase.system)
    recommender.prepare(data)
    recorder.trains(recommender.trainable_parameters())
    recommender.enable_gradient_checkpointing(phase.train.gradient_checkpointing)
    if begun is None:
        load_start(recommender, phase, config.phases, run, seal)
    RecommenderTrainer(
        recommender,
        recommender.examples(data),
        recommender.validation(data),
        phase.train,
        folder,
        phase_seed(config.seed, phase),
        [MetricsLog(run, show, phase.name), recorder] if is_first() else [],
        seal,
        best,
    ).train_or_resume()
    recommender.eval()


def phase_seed(seed: int, phase: PlannedPhase) -> int:
    """Return the seed of a phase's batches and dropout; the first has that of the run."""
    if phase.number <= 1:
        return seed
    return int(np.random.SeedSequence((seed, phase.number)).generate_state(1)[0])


def prolonged(changes: Changes, step: int, phase: PlannedPhase) -> str:
    """Say what a run goes on with, and what that does to the learning rate of its last phase."""
    values = ", ".join(f"{key} from {old} to {new}" for key, (old, new) in changes.items())
    where = f" of the phase {phase.name}" if phase.name else ""
    text = f"The run goes on from step {step}{where} with {values}."
    if phase.key("steps") in changes:
        text += (
            " Its learning rate follows the course of the new number of steps from there on, so it "
            "may jump up; the weights are not those of a run that had so many steps from the start."
        )
    return text


def validation_rows(dataset: Dataset, config: TrainConfig) -> IntArray:
    """Return the fixed sample of the validation split that chooses, the same for all seeds."""
    if config.validation_fraction is not None:
        rows = dataset.sample("valid", fraction=config.validation_fraction, seed=VALIDATION_SEED)
        return np.sort(rows)
    rows = dataset.rows("valid")
    if len(rows) <= config.validation_rows:
        return rows
    random = np.random.default_rng(VALIDATION_SEED)
    return np.sort(random.choice(rows, config.validation_rows, replace=False))


def obtain_cf(
    choice: FittedCF | FitConfig,
    dataset: Dataset,
    folder: Path,
    seed: int,
    watch_fit: WatchFit = unwatched,
) -> VectorSource:
    """Return the run's CF model: the one in its folder, else a copy of a fitted one, else fit."""
    if not (folder / CF).exists():
        if isinstance(choice, FittedCF):
            chosen = load_cf(choice.path, dataset.fingerprint)
            check_knowledge(chosen, choice.path, dataset.policy)
            chosen.save(folder / CF)
        else:
            fit_cf(dataset, choice, seed=seed, output=folder / CF, watch=watch_fit)
    return VectorSource(load_cf(folder / CF, dataset.fingerprint), dataset)


def training_rows(dataset: Dataset, train_from: float) -> IntArray:
    """Return the training rows later than those that `fit_cf` takes with `train_until` of this.

    Raises
    ------
    ConfigError
        None are left, or only such of one label.
    """
    every, rows = dataset.rows("train"), dataset.learnable()
    if train_from > 0:
        times = dataset.interactions["timestamp"].to_numpy()[rows]
        rows = rows[times > cutoff_time(times, train_from)]
    labels = np.unique(dataset.labels(rows))
    if len(labels) < 2:
        kind = f"all with the label {labels[0]}" if len(labels) else "so none to train on"
        raise ConfigError(
            f"train.train_from={train_from:g} leaves {len(rows):,} of {len(every):,} training rows "
            f"(of one second all or none), {kind}. Lower train.train_from"
            + (
                ", or make knowledge.period shorter: the first period is not trained on."
                if dataset.policy.policy == "snapshot"
                else "."
            )
        )
    return rows
