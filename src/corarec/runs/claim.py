"""Making a folder the home of one run, and of one process at a time."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.locks import LOCK, OWNER_SUFFIX, lock_beside, locked
from corarec.recipe import RunConfig, flat_values, free_keys, load_recipe, write_config
from corarec.runs.dataset import check_same_data, read_run_data, write_run_data
from corarec.runs.layout import CF, CHANGES, CONFIG, foreign_files

Changes = dict[str, tuple[Any, Any]]
"""Dotted key -> value before and value after."""


def check_folder(config: RunConfig, folder: Path) -> Changes:
    """See that `folder` is free or the home of `config`, and return what a resumed run changes.

    The keys of `corarec.recipe.free_keys` may differ from those in the folder; the steps may
    only rise.

    Raises
    ------
    ConfigError
        The folder holds a run of another config, or something else.
    """
    path = folder / CONFIG
    if not path.exists():
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"{folder} is a file; a run needs a folder. Choose another --output.")
        if folder.exists() and (foreign := foreign_files(folder)):
            raise ConfigError(
                f"{folder} has files in it ({foreign[0]}) but is no run folder (no {CONFIG}). "
                "Choose another --output."
            )
        return {}
    there, here = flat_values(load_recipe(path)), flat_values(config)
    changes: Changes = {
        key: (there.get(key), here.get(key))
        for key in sorted(there.keys() | here.keys())
        if there.get(key) != here.get(key)
    }
    free = free_keys(config)
    if differing := [key for key in changes if key not in free]:
        raise ConfigError(
            f"{folder} holds a run with another {' and '.join(differing)}. Choose another "
            "--output, or delete the folder to start over."
        )
    steps = config.phases[-1].key("steps")
    before, after = changes.get(steps, (0, 0))
    if after < before:
        raise ConfigError(
            f"{folder} holds a run of {before} steps and {steps} is {after}: it can be raised, "
            f"not lowered. Set {steps}={before} or more, or choose another --output."
        )
    return changes


@contextmanager
def claimed(config: RunConfig, folder: Path, dataset: Dataset) -> Iterator[Changes]:
    """Hold `folder` for the block as the home of `config`; yield what a resumed run changes.

    A process that is killed at any moment in here leaves a folder that the same command claims
    again.

    Raises
    ------
    InUseError
        Another process trains there.
    ConfigError, ArtifactError
        The folder holds another run or something else, or the run has another dataset.
    """
    check_folder(config, folder)
    with locked(folder / LOCK, f"The run folder {folder}"):
        changes = check_folder(config, folder)
        if (folder / CONFIG).exists():
            wanted = read_run_data(folder).fingerprint
            check_same_data(folder, wanted, dataset, config.data)
        for suffix in ("", OWNER_SUFFIX):  # of a fit that was killed; nobody fits here now
            Path(f"{lock_beside(folder / CF)}{suffix}").unlink(missing_ok=True)
        write_run_data(folder, dataset, config.data)
        if changes:
            _remember(folder, changes)
        if changes or not (folder / CONFIG).exists():
            write_config(config, folder / CONFIG)
        yield changes


def _remember(folder: Path, changes: Changes) -> None:
    record = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "changes": {key: list(values) for key, values in changes.items()},
    }
    with (folder / CHANGES).open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
