"""A trained run, put together again."""

import hashlib
from pathlib import Path
from typing import NamedTuple

from corarec.cf import VectorSource, load_cf
from corarec.data import Dataset, Knowledge
from corarec.errors import ArtifactError, ConfigError
from corarec.recipe import RunConfig, load_recipe
from corarec.recommenders import build_recommender
from corarec.recommenders.language import LanguageRecommender
from corarec.runs.dataset import find_dataset
from corarec.runs.layout import BACKBONE, BEST, CF, CONFIG, KNOWLEDGE, MANIFEST, PACK
from corarec.runs.manifest import Seal
from corarec.runs.packed import check_packed
from corarec.system_errors import storage_errors

TRIES = 3


class Parts(NamedTuple):
    """What a trained run is made of."""

    config: RunConfig
    knowledge: Knowledge
    """What is known of items and users."""
    splits: Dataset | None
    """The whole dataset; None in a packed run, which has what is known and no more."""
    cf: VectorSource | None
    system: LanguageRecommender | None
    """None where it was opened without."""
    identity: str
    """Tells it from runs that could score otherwise."""

    @property
    def recommender(self) -> LanguageRecommender:
        """The system, which was asked for."""
        assert self.system is not None, "it was opened without its system"
        return self.system

    @property
    def weights_digest(self) -> str:
        """What tells its weights from those of other trainings, packed or not."""
        return self.identity.split()[1]


def open_run(folder: Path, data: Path | None = None, *, system: bool = True) -> Parts:
    """Put the system of a trained run together again, with its best weights; nothing is written.

    Every file is held against the digests that were taken when it was written. A run that is still
    being trained can be opened, too.

    Parameters
    ----------
    folder
        The run folder, moved or packed or not.
    data
        Where its dataset is now; by default where it lay, seen from the run folder. A packed run
        needs none.
    system
        Whether its system is wanted, with its language model; without it the run tells what it
        knows, while other processes score.

    Raises
    ------
    ArtifactError
        The folder is no run, its training has not reached a first validation, a file is missing,
        damaged or of another run, or the dataset is not there or another one.
    StorageError
        The system refuses to read a file.
    """
    with storage_errors(folder):
        config, knowledge, splits = read_run(folder, data)
        fingerprint = knowledge.fingerprint
        log = knowledge.log() if config.knowledge.policy == "streaming" else None
        cf = VectorSource(load_cf(folder / CF, fingerprint), splits, log) if config.cf else None
        best = folder / BEST
        seal = sealed(folder, config, knowledge)
        if (folder / BACKBONE).is_dir():
            config = with_backbone(config, folder / BACKBONE)
        recommender, state = None, _state(best)
        if system:
            recommender = build_recommender(
                config.system, splits or knowledge, cf, seed=config.seed
            )
            recommender.begin(config.phases[-1].system)
            state = _load_best(recommender, best, seal)
        users = str(len(knowledge.users)).encode()
        digests = (hashlib.sha256(each or b"") for each in (_bytes(folder / CONFIG), state, users))
        identity = " ".join(digest.hexdigest()[:32] for digest in digests)
        return Parts(config, knowledge, splits, cf, recommender, identity)


def read_run(folder: Path, data: Path | None = None) -> tuple[RunConfig, Knowledge, Dataset | None]:
    """Return a run's config and what it knows of its dataset, without its models.

    Raises
    ------
    ArtifactError
        As `open_run`.
    """
    path = folder / CONFIG
    if not path.exists():
        raise ArtifactError(
            f"{folder} is no run folder: it has no {CONFIG}. Make one with `corarec train`."
        )
    if (folder / PACK).exists() or (folder / KNOWLEDGE).exists():
        check_packed(folder)
    try:
        config = load_recipe(path)
    except ConfigError as error:
        raise ArtifactError(
            f"{folder} cannot be opened: {error}\nIt was changed or damaged after training, or "
            "another version of corarec wrote it."
        ) from error
    if (folder / KNOWLEDGE).is_dir() and data is None:
        return config, Knowledge.read(folder / KNOWLEDGE), None
    dataset, place = find_dataset(folder, config.data, data)
    dataset = dataset.under(config.knowledge)
    return config.model_copy(update={"data": place}), dataset.knowledge, dataset


def sealed(folder: Path, config: RunConfig, knowledge: Knowledge) -> Seal:
    """Return what binds a run's best weights to it, after seeing that they are whole and its own.

    Raises
    ------
    ArtifactError
        There are none yet, or they are damaged or of another run.
    """
    if not (folder / BEST).exists():
        raise ArtifactError(
            f"{folder} has no {BEST}/: its training, or the last phase of it, stopped before "
            "the first validation. "
            f"Go on with `corarec train {folder / CONFIG} --output {folder}`."
        )
    seal = Seal(folder, config, knowledge.fingerprint)
    seal.check(folder / BEST)
    return seal


def with_backbone(config: RunConfig, model: Path) -> RunConfig:
    """Return a config whose language model is read from a folder."""
    backbone = config.system.backbone.model_copy(update={"model": str(model), "revision": None})
    system = config.system.model_copy(update={"backbone": backbone})
    return config.model_copy(update={"system": system})


def _load_best(recommender: LanguageRecommender, best: Path, seal: Seal) -> bytes | None:
    """Load the best weights, though training may put better ones in their place meanwhile.

    Returns what tells them from others.
    """
    for attempt in range(1, TRIES + 1):
        before = _state(best)
        try:
            seal.check(best)
            if recommender.trainable_parameters() > 0:
                recommender.load(best)
        except ArtifactError:
            if attempt == TRIES or _state(best) == before:
                raise
        else:
            if _state(best) == before:
                return before
    raise ArtifactError(
        f"{best} was replaced {TRIES} times while it was read: its run is being trained. Try again."
    )


def _state(best: Path) -> bytes | None:
    return _bytes(best / MANIFEST)


def _bytes(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None
