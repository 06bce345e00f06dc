"""What lies in the folder of a saved CF model, and what it says that it is."""

from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from corarec.errors import ArtifactError
from corarec.files import read_json, recover, sha256
from corarec.types import Config, Fingerprint

KIND = "CF model"
"""What the marker of a saved model's folder says."""
IDENTITY_FILE = "model.json"
REPORT_FILE = "report.json"
TENSOR_FILE = "model.safetensors"


class Identity(Config):
    """What `model.json` of a saved model says."""

    model: str
    """The registry name."""
    config: dict[str, Any]
    """Its options."""
    dataset: Fingerprint | None = None
    """The dataset that it was fitted on; None where it was fitted on bare rows."""
    files: dict[str, str] = Field(default_factory=dict)
    """SHA-256 of every other file in the folder."""


def read_identity(directory: Path) -> Identity:
    """Return what a saved CF model is, without its tensors.

    Raises
    ------
    ArtifactError
        The folder was not written by `CFModel.save`.
    """
    path = recover(directory) / IDENTITY_FILE
    try:
        return Identity.model_validate(read_json(path))
    except ValidationError as error:
        raise ArtifactError(
            f"{path} should hold 'model', 'config', 'dataset' and 'files' of a CF model, but is "
            f"damaged or of another version ({_first_mistake(error)}). Fit the model again."
        ) from error


def digests(directory: Path) -> dict[str, str]:
    """Return the SHA-256 of every file under a folder, by its path in it."""
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): sha256(path) for path in files}


def check_files(directory: Path, identity: Identity) -> None:
    """See that the files of a saved model are those that its identity names.

    Raises
    ------
    ArtifactError
        One is missing, damaged or of another model.
    """
    for name, digest in identity.files.items():
        path = directory / name
        try:
            found = sha256(path)
        except FileNotFoundError:
            raise ArtifactError(
                f"{path} does not exist, so {directory} is not complete. Fit the model again."
            ) from None
        except (OSError, ValueError) as error:
            raise ArtifactError(f"{path} cannot be read ({error}). Fit the model again.") from error
        if found != digest:
            raise ArtifactError(
                f"{path} is cut off or damaged, or belongs to another model than the "
                f"{IDENTITY_FILE} beside it. Fit the model again."
            )


def _first_mistake(error: ValidationError) -> str:
    mistake = error.errors()[0]
    return f"{'.'.join(map(str, mistake['loc'])) or 'the whole'}: {mistake['msg']}"
