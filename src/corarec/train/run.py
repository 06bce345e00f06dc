"""One run, from its config to its best weights, in a folder that can always be resumed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from sklearn.metrics import roc_auc_score

from corarec.cf import FitConfig, VectorSource, cutoff_time, fit_cf, load_cf
from corarec.data import Dataset
from corarec.errors import ArtifactError, ConfigError
from corarec.files import read_json, sha256, write_json
from corarec.recommenders import Recommender, build_recommender
from corarec.recommenders.llm import PromptRecommender
from corarec.train.config import TrainConfig
from corarec.train.metrics import MetricsLog, Record
from corarec.train.recipe import FittedCF, RunConfig, load_recipe, write_config
from corarec.train.trainer import BEST, RecommenderTrainer
from corarec.types import IntArray

CONFIG = "config.yaml"
CF = "cf"
DATA = "data.json"
INTERACTIONS = "interactions.parquet"
VALIDATION_SEED = 2023


def train_run(
    config: RunConfig,
    folder: Path,
    *,
    show: Callable[[Record], None] = lambda record: None,
    console: Console | None = None,
) -> None:
    """Train what `config` describes, or go on where the run in `folder` was stopped.

    The folder ends with `config.yaml`, `cf/` (the CF model), `metrics.jsonl`, `checkpoints/` and
    `best/` (the weights with the highest validation AUC). `show` is called with every record of
    the metrics log.

    Raises
    ------
    ConfigError
        The folder holds a run of another config.
    TrainingError
        The loss is not finite.
    """
    config = config.model_copy(update={"data": config.data.resolve()})
    check_folder(config, folder)
    if config.train.threads is not None:
        torch.set_num_threads(config.train.threads)
    dataset = Dataset.load(config.data)
    validation = Validation(dataset, config.train)
    claim_folder(config, folder)
    cf = obtain_cf(config.cf, dataset, folder, config.seed, console) if config.cf else None
    recommender = build_recommender(config.system, dataset, cf, seed=config.seed)
    if recommender.trainable_parameters() == 0:
        return
    recommender.fit_scales(dataset.pairs("train"))
    if config.train.gradient_checkpointing:
        recommender.enable_gradient_checkpointing()
    rows = training_rows(dataset, config.train.train_from)
    RecommenderTrainer(
        recommender,
        recommender.inputs(dataset.pairs(rows)),
        dataset.labels(rows),
        validation,
        config.train,
        folder,
        config.seed,
        [MetricsLog(folder, show)],
    ).train_or_resume()


class Validation:
    """The AUC on a fixed sample of the validation part, the same for all systems and seeds."""

    def __init__(self, dataset: Dataset, config: TrainConfig) -> None:
        rows = _validation_rows(dataset, config)
        self.pairs = dataset.pairs(rows)
        self.labels = dataset.labels(rows)
        if len(np.unique(self.labels)) < 2:
            raise ConfigError(
                f"All {len(rows)} rows of the validation sample have the label {self.labels[0]}, "
                "so it cannot choose the best weights. Raise train.validation_rows."
            )

    def __call__(self, recommender: Recommender) -> dict[str, float]:
        """Score the sample with the recommender as it stands."""
        return {"auc": float(roc_auc_score(self.labels, recommender.score(self.pairs)))}


def _validation_rows(dataset: Dataset, config: TrainConfig) -> IntArray:
    if config.validation_fraction is not None:
        rows = dataset.sample("valid", fraction=config.validation_fraction, seed=VALIDATION_SEED)
        return np.sort(rows)
    rows = dataset.rows("valid")
    if len(rows) <= config.validation_rows:
        return rows
    random = np.random.default_rng(VALIDATION_SEED)
    return np.sort(random.choice(rows, config.validation_rows, replace=False))


def open_run(folder: Path) -> tuple[RunConfig, Dataset, VectorSource | None, PromptRecommender]:
    """Put the system of a trained run together again, with its best weights.

    Raises
    ------
    ArtifactError
        The folder is no run, or its training has not reached a first validation.
    """
    path = folder / CONFIG
    if not path.exists():
        raise ArtifactError(
            f"{folder} is no run folder: it has no {CONFIG}. Make one with `corarec train`."
        )
    config = load_recipe(path)
    if read_json(folder / DATA)["interactions"] != sha256(config.data / INTERACTIONS):
        raise ArtifactError(
            f"The dataset in {config.data} is not the one that {folder} was trained on. Prepare "
            "that one again, or train on this one into another folder."
        )
    dataset = Dataset.load(config.data)
    cf = VectorSource(load_cf(folder / CF, dataset.fingerprint), dataset) if config.cf else None
    recommender = build_recommender(config.system, dataset, cf, seed=config.seed)
    if recommender.trainable_parameters() > 0:
        if not (folder / BEST).exists():
            raise ArtifactError(
                f"{folder} has no {BEST}/: its training stopped before the first validation. "
                f"Go on with `corarec train {path} --output {folder}`."
            )
        recommender.load(folder / BEST)
    return config, dataset, cf, recommender


def claim_folder(config: RunConfig, folder: Path) -> None:
    """Make `folder` the home of `config` and of its data."""
    if not (folder / CONFIG).exists():
        write_json(folder / DATA, {"interactions": sha256(config.data / INTERACTIONS)})
        write_config(config, folder / CONFIG)


def check_folder(config: RunConfig, folder: Path) -> None:
    """See that `folder` is empty or the home of `config`.

    Raises
    ------
    ConfigError
        It holds a run of another config, or something else.
    """
    path = folder / CONFIG
    if path.exists():
        there, here = (c.model_dump(mode="json") for c in (load_recipe(path), config))
        if differing := [key for key in here if here[key] != there[key]]:
            raise ConfigError(
                f"{folder} holds a run with another {' and '.join(differing)}. "
                "Choose another --output, or delete the folder to start over."
            )
        return
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError(
            f"{folder} has files in it but is no run folder (no {CONFIG}). Choose another --output."
        )


def obtain_cf(
    choice: FittedCF | FitConfig,
    dataset: Dataset,
    folder: Path,
    seed: int,
    console: Console | None = None,
) -> VectorSource:
    """Return the run's CF model: the one in its folder, else a copy of a fitted one, else fit."""
    if not (folder / CF).exists():
        if isinstance(choice, FittedCF):
            load_cf(choice.path, dataset.fingerprint).save(folder / CF)
        else:
            fit_cf(dataset, choice, seed=seed, output=folder / CF, console=console)
    return VectorSource(load_cf(folder / CF, dataset.fingerprint), dataset)


def training_rows(dataset: Dataset, train_from: float) -> IntArray:
    """Return the training rows later than those that `fit_cf` takes with `train_until` of this."""
    rows = dataset.rows("train")
    if train_from == 0:
        return rows
    times = dataset.interactions["timestamp"].to_numpy()[rows]
    return rows[times > cutoff_time(times, train_from)]
