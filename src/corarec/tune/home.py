"""The folder of a tuning: whose it is, and what it may not be asked to do."""

from pathlib import Path
from typing import Any

from filelock import FileLock

from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.files import read_json, write_json
from corarec.recipe import RunConfig, flat_values
from corarec.recipe.config import ALWAYS_FREE, MACHINE, is_default
from corarec.staging import sweep
from corarec.system_errors import storage_errors
from corarec.tune.settings import TuneConfig
from corarec.tune.space import Space

SETTINGS = "tune.json"
"""What is tuned and how, to see that a tuning goes on as it began."""
LOCK = ".study.lock"


def settings_of(space: Space, config: TuneConfig, metric: str, dataset: Dataset) -> dict[str, Any]:
    """Return what may not change while a tuning goes on."""
    free = {*ALWAYS_FREE, *MACHINE}
    recipe = {key: value for key, value in flat_values(space.base).items() if key not in free}
    return {
        "metric": metric,
        "sampler": config.sampler,
        "seed": config.seed,
        "prune": config.prune,
        "dataset": dataset.fingerprint.model_dump(),
        "space": {key: axis.model_dump(mode="json") for key, axis in space.axes.items()},
        "recipe": recipe,
    }


def check_folder(folder: Path) -> None:
    """See that a folder is free, or holds a tuning.

    Raises
    ------
    ConfigError
        It holds something else.
    """
    with storage_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file; a tuning needs a folder. Choose another one.")
        if not folder.exists() or (folder / SETTINGS).exists():
            return
        sweep(folder)
        if foreign := sorted(path.name for path in folder.iterdir() if path.name != LOCK):
            raise ConfigError(
                f"{folder} has files in it ({foreign[0]}) but holds no tuning (no {SETTINGS}). "
                "Choose another --output."
            )


def claim(folder: Path, settings: dict[str, Any], base: RunConfig) -> dict[str, Any]:
    """Make a folder the home of a tuning, or see that it is.

    A key that the version of corarec which began it did not know may be there with its default.

    Parameters
    ----------
    base
        The recipe that is tuned.

    Returns
    -------
    The settings as the tuning began: those that came, perhaps with the keys in another order.

    Raises
    ------
    ConfigError
        It holds another tuning, or something else.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK):
            check_folder(folder)
            if not (folder / SETTINGS).exists():
                write_json(folder / SETTINGS, settings)
                return settings
    there = read_json(folder / SETTINGS)
    if isinstance(there, dict) and isinstance(there.get("recipe"), dict):
        began = there["recipe"]
        new = {key: value for key, value in settings["recipe"].items() if key not in began}
        began |= {key: value for key, value in new.items() if is_default(base, key)}
    differing = _differences(there, settings) if isinstance(there, dict) else [SETTINGS]
    if differing:
        raise ConfigError(
            f"{folder} holds a tuning with another {', '.join(differing)}. Choose another "
            "--output; only --trials may change."
        )
    return dict(there)


def _differences(there: dict[str, Any], here: dict[str, Any]) -> list[str]:
    found = []
    for key in sorted(there.keys() | here.keys()):
        before, now = there.get(key), here.get(key)
        if key in ("recipe", "space") and isinstance(before, dict) and isinstance(now, dict):
            found += [f"{key}: {name}" for name in _differences(before, now)]
        elif before != now:
            found.append(key)
    return found
