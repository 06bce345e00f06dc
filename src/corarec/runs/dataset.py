"""Which dataset a run is of, and where it is now."""

import os
from pathlib import Path

from pydantic import ValidationError

from corarec.data import Dataset
from corarec.errors import ArtifactError
from corarec.files import read_json, write_json
from corarec.runs.layout import DATA
from corarec.types import Config, Fingerprint

_CARD = "card.json"
_WORDS = {
    "users": "users",
    "items": "items",
    "titles": "titles",
    "train": "training rows",
    "valid": "validation rows",
    "interactions": "interactions",
}


class RunData(Config):
    """What a run folder remembers of its dataset."""

    name: str
    """The dataset's own name, for errors."""
    path: str
    """Where it lay, seen from the run folder, so that both can be moved together."""
    fingerprint: Fingerprint


def write_run_data(folder: Path, dataset: Dataset, path: Path) -> None:
    """Remember the dataset in the run folder, unless that was done."""
    try:
        relative = os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:  # on another drive of Windows
        relative = str(path.resolve())
    record = RunData(
        name=dataset.card.name, path=Path(relative).as_posix(), fingerprint=dataset.fingerprint
    )
    if not (folder / DATA).exists() or read_json(folder / DATA) != record.model_dump(mode="json"):
        write_json(folder / DATA, record.model_dump(mode="json"))


def read_run_data(folder: Path) -> RunData:
    """Return what a run folder remembers of its dataset.

    Raises
    ------
    ArtifactError
        It is missing, damaged, or of a version that did not remember enough.
    """
    path = folder / DATA
    try:
        return RunData.model_validate(read_json(path))
    except ValidationError as error:
        mistake = error.errors()[0]
        raise ArtifactError(
            f"{path} is damaged or was written by an earlier version of corarec "
            f"({'.'.join(map(str, mistake['loc']))}: {mistake['msg']}), so the run cannot be "
            "matched with its dataset. Train it again into another folder."
        ) from error


def check_same_data(folder: Path, wanted: Fingerprint, dataset: Dataset, path: Path) -> None:
    """See that a dataset is the one that the run was trained on.

    Raises
    ------
    ArtifactError
        It is another one; says what differs.
    """
    differing = wanted.differences(dataset.fingerprint)
    if {"train", "valid"} & set(differing):
        # That all interactions differ says no more.
        differing = [name for name in differing if name != "interactions"]
    if differing:
        raise ArtifactError(
            f"The dataset in {path} is not the one that {folder} was trained on: its "
            f"{' and '.join(_WORDS[name] for name in differing)} are others. Name the right one "
            "with --data, prepare it again as it was, or train on this one into another folder."
        )


def find_dataset(folder: Path, configured: Path, given: Path | None = None) -> tuple[Dataset, Path]:
    """Open the dataset of a run, wherever both were moved, and return it with its folder.

    It is looked for where `given` says, and nowhere else then; else at its place relative to the
    run folder; else where it lay when the run was made (`configured`).

    Raises
    ------
    ArtifactError
        It is not there, damaged, or another one.
    """
    record = read_run_data(folder)
    places = [given] if given else _distinct([folder.resolve() / record.path, configured])
    failure: ArtifactError | None = None
    for place in places:
        if given is None and not (place / _CARD).exists():
            continue
        try:
            dataset = Dataset.load(place)
            check_same_data(folder, record.fingerprint, dataset, place)
        except ArtifactError as error:
            failure = failure or error
        else:
            return dataset, place
    if failure is not None:
        raise failure
    raise ArtifactError(
        f"The dataset {record.name!r} of {folder} is not at {' nor at '.join(map(str, places))}. "
        "Say where it is now with --data FOLDER."
    )


def _distinct(paths: list[Path]) -> list[Path]:
    return list(dict.fromkeys(path.resolve() for path in paths))
