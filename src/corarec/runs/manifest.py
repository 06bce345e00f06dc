"""What a folder of trained weights belongs to, and the digest of every file in it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from corarec.cf.identity import IDENTITY_FILE
from corarec.errors import ArtifactError
from corarec.files import read_json, sha256, write_json
from corarec.recipe import RunConfig, bound_values
from corarec.runs.layout import CF, CONFIG, MANIFEST
from corarec.types import Config, Fingerprint


class Manifest(Config):
    """The manifest of a folder of weights."""

    config: dict[str, Any]
    """The settings that the weights depend on, by dotted key."""
    dataset: Fingerprint
    cf: str | None
    """SHA-256 of the CF model's `model.json`, which names its other files' digests."""
    files: dict[str, str]
    """SHA-256 of every other file in the folder."""


def check_whole(folder: Path) -> Manifest:
    """Return the manifest of a folder of weights, of whatever run, after reading all its files.

    Raises
    ------
    ArtifactError
        A file is missing or changed; names it.
    """
    try:
        manifest = Manifest.model_validate(read_json(folder / MANIFEST))
    except ValidationError as error:
        raise ArtifactError(f"{folder / MANIFEST} is damaged. Train its run again.") from error
    for name, digest in manifest.files.items():
        if _digest(folder / name) != digest:
            raise ArtifactError(f"{folder / name} is missing or damaged. Train its run again.")
    return manifest


@dataclass(frozen=True)
class Seal:
    """Binds folders of weights to one run."""

    run: Path
    """The run folder."""
    config: RunConfig
    dataset: Fingerprint

    def write(self, folder: Path) -> None:
        """Write the manifest of a folder whose other files are complete."""
        write_json(folder / MANIFEST, self._manifest(folder).model_dump(mode="json"))

    def check(self, folder: Path) -> None:
        """See that a folder of weights is whole and of this run as it stands.

        Raises
        ------
        ArtifactError
            A file is missing, changed, or belongs to another run; names it.
        """
        path = folder / MANIFEST
        if not folder.is_dir():
            raise ArtifactError(f"{folder} is not there. {self._advice}")
        try:
            sealed = Manifest.model_validate(read_json(path))
        except ValidationError as error:
            raise ArtifactError(f"{path} is damaged. {self._advice}") from error
        now = self._manifest(folder, sealed.files)
        # A key that a later version added has its default here, and nothing to be held against.
        wrong = [key for key, value in sealed.config.items() if not _is(now.config, key, value)]
        if wrong:
            key = wrong[0]
            raise ArtifactError(
                f"{self.run / CONFIG} was changed after training: {key} is {now.config.get(key)!r},"
                f" but {folder} was trained with {sealed.config.get(key)!r}. Set it back, or train "
                "with the new value into another folder."
            )
        if differing := sealed.dataset.differences(self.dataset):
            raise ArtifactError(
                f"{folder} was trained on another dataset (its {' and '.join(differing)} differ). "
                f"{self._advice}"
            )
        if now.cf != sealed.cf:
            raise ArtifactError(
                f"{self.run / CF} is not the CF model that {folder} was trained with. Put that one "
                f"back. {self._advice}"
            )
        for name, digest in sealed.files.items():
            if now.files[name] != digest:
                raise ArtifactError(
                    f"{folder / name} is missing, damaged, or of another run. {self._advice}"
                )

    @property
    def _advice(self) -> str:
        return (
            "Copy the whole run folder again from where it was made, or train it again: delete "
            f"{self.run} and run `corarec train`."
        )

    def _manifest(self, folder: Path, names: Any = None) -> Manifest:
        if names is None:
            paths = (path for path in folder.rglob("*") if path.is_file())
            names = sorted(path.relative_to(folder).as_posix() for path in paths)
        identity = self.run / CF / IDENTITY_FILE
        return Manifest(
            config=bound_values(self.config),
            dataset=self.dataset,
            cf=_digest(identity) if self.config.cf else None,
            files={name: _digest(folder / name) for name in names if name != MANIFEST},
        )


def _is(config: dict[str, Any], key: str, value: Any) -> bool:
    """Whether a key has a value, or has become a config of which the value names the preset."""
    if key in config:
        return bool(config[key] == value)
    inside = {name: found for name, found in config.items() if name.startswith(f"{key}.")}
    preset = inside.pop(f"{key}.preset", None)
    return preset == value and not any(found is not None for found in inside.values())


def _digest(path: Path) -> str:
    try:
        return sha256(path)
    except (OSError, ValueError):
        return "unreadable"
