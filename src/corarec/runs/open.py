"""A trained run, put together again."""

from pathlib import Path

from corarec.cf import VectorSource, load_cf
from corarec.data import Dataset
from corarec.errors import ArtifactError, ConfigError
from corarec.recipe import RunConfig, load_recipe
from corarec.recommenders import build_recommender
from corarec.recommenders.llm import PromptRecommender
from corarec.runs.dataset import find_dataset
from corarec.runs.layout import BEST, CF, CONFIG, MANIFEST
from corarec.runs.manifest import Seal
from corarec.system_errors import storage_errors

TRIES = 3


def open_run(
    folder: Path, data: Path | None = None
) -> tuple[RunConfig, Dataset, VectorSource | None, PromptRecommender]:
    """Put the system of a trained run together again, with its best weights; nothing is written.

    Every file is held against the digests that were taken when it was written. A run that is still
    being trained can be opened, too.

    Parameters
    ----------
    folder
        The run folder, moved or not.
    data
        Where its dataset is now; by default where it lay, seen from the run folder.

    Raises
    ------
    ArtifactError
        The folder is no run, its training has not reached a first validation, a file is missing,
        damaged or of another run, or the dataset is not there or another one.
    StorageError
        The system refuses to read a file.
    """
    with storage_errors(folder):
        return _open(folder, data)


def _open(
    folder: Path, data: Path | None
) -> tuple[RunConfig, Dataset, VectorSource | None, PromptRecommender]:
    path = folder / CONFIG
    if not path.exists():
        raise ArtifactError(
            f"{folder} is no run folder: it has no {CONFIG}. Make one with `corarec train`."
        )
    try:
        config = load_recipe(path)
    except ConfigError as error:
        raise ArtifactError(
            f"{folder} cannot be opened: {error}\nIt was changed or damaged after training, or "
            "another version of corarec wrote it."
        ) from error
    dataset, place = find_dataset(folder, config.data, data)
    config = config.model_copy(update={"data": place})
    cf = VectorSource(load_cf(folder / CF, dataset.fingerprint), dataset) if config.cf else None
    best = folder / BEST
    if not best.exists():
        raise ArtifactError(
            f"{folder} has no {BEST}/: its training stopped before the first validation. "
            f"Go on with `corarec train {path} --output {folder}`."
        )
    seal = Seal(folder, config, dataset.fingerprint)
    seal.check(best)
    recommender = build_recommender(config.system, dataset, cf, seed=config.seed)
    _load_best(recommender, best, seal)
    return config, dataset, cf, recommender


def _load_best(recommender: PromptRecommender, best: Path, seal: Seal) -> None:
    """Load the best weights, though training may put better ones in their place meanwhile."""
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
                return
    raise ArtifactError(
        f"{best} was replaced {TRIES} times while it was read: its run is being trained. Try again."
    )


def _state(best: Path) -> bytes | None:
    try:
        return (best / MANIFEST).read_bytes()
    except OSError:
        return None
