"""Where the files of a language model are, and how they are read without a traceback."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from huggingface_hub import constants, get_session

from corarec.backbone.checks import known_types
from corarec.errors import ArtifactError, ConfigError

_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_HUB_SECONDS = 5.0
_WANTED = (
    "Give a name on the Hugging Face hub (with a connection or an earlier download), a folder with "
    "config.json, tokenizer.json and safetensors weights, or `bundled`."
)


@dataclass(frozen=True)
class ModelPlace:
    """A folder, or a name on the hub."""

    name: str
    """As the user wrote it."""
    source: str
    """A folder, or a name on the hub."""
    revision: str | None
    """Branch, tag or commit on the hub."""
    offline: bool
    """Only files on this machine are read: of a folder, or of earlier downloads."""

    @classmethod
    def find(cls, name: str, revision: str | None, *, weights: bool = True) -> Self:
        """Tell a folder from a name on the hub; with `weights` a folder must hold some.

        Raises
        ------
        ArtifactError
            There is no such folder, or it is none of a model that can be read.
        """
        folder = Path(name)
        if name and "\0" not in name and folder.is_dir():
            check_folder(folder, weights=weights)
            return cls(name, str(folder), None, offline=True)
        if not name or "\0" in name or folder.is_file():
            raise ArtifactError(f"{name!r} is no folder and no name of a model. {_WANTED}")
        if folder.is_absolute() or name.startswith((".", "~")):
            raise ArtifactError(f"There is no folder {name}. {_WANTED}")
        return cls(name, name, revision, offline=not hub_is_reachable())

    def read(self, reader: Any, what: str, **options: Any) -> Any:
        """Call `from_pretrained` of a class of transformers; no code of the model's own is run.

        Raises
        ------
        ArtifactError, ConfigError
            See `reading`.
        """
        with self.reading(what):
            return reader.from_pretrained(
                self.source,
                revision=self.revision,
                local_files_only=self.offline,
                trust_remote_code=False,
                **options,
            )

    @contextmanager
    def reading(self, what: str) -> Iterator[None]:
        """Turn whatever transformers raises in the block into one paragraph.

        Raises
        ------
        ConfigError
            A package is missing.
        ArtifactError
            Anything else.
        """
        try:
            yield
        except ImportError as error:
            raise ConfigError(
                f"The {what} of {self.name} cannot be loaded: {short(error)} Install the package, "
                "or change `attention` or `model` of the recipe's system.backbone."
            ) from error
        except Exception as error:
            # Damaged files make transformers raise nearly anything, ZeroDivisionError included.
            raise ArtifactError(self._story(what, error)) from error

    def _story(self, what: str, error: Exception) -> str:
        if "trust_remote_code" in str(error):
            return (
                f"{self.name} comes with Python code of its own, and corarec never runs a model's "
                "code. Take a model that transformers itself knows."
            )
        revision = f" at revision {self.revision}" if self.revision else ""
        start = f"The {what} of {self.name}{revision} cannot be loaded"
        if self.offline and not Path(self.source).exists():
            return (
                f"{start}: the Hugging Face hub cannot be reached, and no earlier download was "
                "found. Connect and try again, or download the model elsewhere and name its folder."
            )
        return f"{start}: {short(error)}\n{_WANTED}"


def hub_is_reachable() -> bool:
    """Return whether the Hugging Face hub answers within seconds.

    Its own client tries again for about a minute, each time it is asked for a file.
    """
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=_HUB_SECONDS)
    except Exception:  # whatever its client raises: no name, no route, no certificate, no time
        return False
    return True


def check_folder(folder: Path, *, weights: bool) -> None:
    """See that a local folder has a config that names a model, and weights that are no pickles.

    Raises
    ------
    ArtifactError
        It has not; with `weights` false, weights are not asked for.
    """
    config = _read_object(folder / "config.json")
    for name, values in (
        ("config.json", config),
        ("tokenizer_config.json", _read_object(folder / "tokenizer_config.json", needed=False)),
    ):
        if name != "config.json" or config.get("model_type") not in known_types():
            check_custom_code(folder, name, values)
    if not config.get("model_type"):
        raise ArtifactError(
            f"{folder / 'config.json'} has no `model_type`, so nothing says which model it is. "
            "Download or save the model again."
        )
    if weights and not any(folder.glob("*.safetensors")):
        pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
        if pickled:
            raise ArtifactError(
                f"{folder} has its weights as {pickled[0]} only: a pickle, which can run code when "
                "it is read and is refused. Take the safetensors of the model, or convert it where "
                "you trust it: AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW)."
            )
        raise ArtifactError(
            f"{folder} has no weights (*.safetensors). Download or save the model again."
        )


def check_custom_code(where: Any, name: str, values: dict[str, Any]) -> None:
    """See that a model needs no Python code of its own.

    Raises
    ------
    ArtifactError
        It does.
    """
    if values.get("auto_map"):
        raise ArtifactError(
            f"{where} comes with Python code of its own (`auto_map` in {name}), and corarec never "
            "runs a model's code. Take a model that transformers itself knows, or, where it does, "
            "remove `auto_map` from the file."
        )


def short(error: Exception) -> str:
    """Return the first paragraph of what a library says, cut to a length that one reads."""
    text = " ".join(str(error).strip().split("\n\n")[0].split())
    if isinstance(error, KeyError) or not text:  # whose text is a bare name
        text = f"{type(error).__name__} {text}".strip()
    return text if len(text) < 400 else text[:400] + " ..."


def _read_object(path: Path, *, needed: bool = True) -> dict[str, Any]:
    if not needed and not path.exists():
        return {}
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        inside = any(path.parent.iterdir()) if path.parent.is_dir() else True
        what = f"has no {path.name}" if inside else "is empty"
        raise ArtifactError(
            f"{path.parent} {what}, so it is no folder of a language model. Name the folder with "
            "config.json, tokenizer.json and safetensors weights."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{path} is not whole JSON ({short(error)}). Download or save the model again."
        ) from error
    if not isinstance(values, dict):
        raise ArtifactError(
            f"{path} holds {type(values).__name__} where keys were wanted. Download or save the "
            "model again."
        )
    return values
