"""Trained weights on disk: the adapter in PEFT's format, a system's own modules beside it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, load_peft_weights
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from corarec.adapter.loading import check_weights_fit
from corarec.errors import ArtifactError
from corarec.files import read_json

ADAPTER_CONFIG = "adapter_config.json"
MEANING = ("peft_type", "r", "alpha", "lora_alpha", "use_rslora", "use_dora")
"""Settings of an adapter that no shape tells."""


def read_adapter(model: Any, folder: Path, fingerprint: str) -> dict[str, torch.Tensor]:
    """Return the weights of a saved adapter, held against the one that `model` has.

    Raises
    ------
    ArtifactError
        They cannot be read, or do not fit.
    """
    with _reading(f"The adapter in {folder}"):
        weights: dict[str, torch.Tensor] = load_peft_weights(str(folder), device="cpu")
        wanted = get_peft_model_state_dict(model, save_embedding_layers=False)
        check_weights_fit(wanted, weights, fingerprint)
        check_dtypes(wanted, weights, folder)
        return weights


def write_module(module: nn.Module, folder: Path, name: str) -> None:
    """Write a module's weights to `NAME.safetensors`."""
    tensors = {key: tensor.contiguous() for key, tensor in module.state_dict().items()}
    save_file(tensors, _file(folder, name))


def read_module(module: nn.Module, folder: Path, name: str) -> dict[str, torch.Tensor]:
    """Return what `write_module` wrote, held against the module as it is.

    Raises
    ------
    ArtifactError
        It cannot be read, or does not fit.
    """
    path = _file(folder, name)
    with _reading(str(path)):
        weights = load_file(path)
        check_weights_fit(module.state_dict(), weights, "its own run's")
        check_dtypes(module.state_dict(), weights, path)
        return weights


def check_same_adapter(wanted: Mapping[str, Any], folder: Path) -> None:
    """See that a saved adapter means the same with the same weights: its rank, scale and so on.

    Raises
    ------
    ArtifactError
        It does not.
    """
    saved = read_json(folder / ADAPTER_CONFIG)
    for key in MEANING:
        here, there = wanted.get(key), saved.get(key)
        here = getattr(here, "value", here)
        if here != there:
            raise ArtifactError(
                f"The adapter in {folder} has {key} {there!r}, but this system's has {here!r}, so "
                "its weights would mean something else. Set the system's options to those of that "
                "run."
            )


def check_dtypes(
    wanted: Mapping[str, torch.Tensor], saved: Mapping[str, torch.Tensor], folder: Path
) -> None:
    """See that saved tensors have the precision in which they are trained.

    Raises
    ------
    ArtifactError
        One has another precision: somebody has converted the file.
    """
    for name, weight in saved.items():
        if weight.dtype != wanted[name].dtype:
            raise ArtifactError(
                f"{folder} holds {name} as {weight.dtype}, but it is trained and saved as "
                f"{wanted[name].dtype}. Put the file back that training wrote."
            )


def _file(folder: Path, name: str) -> Path:
    return folder / f"{name}.safetensors"


@contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except ArtifactError:
        raise
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise ArtifactError(
            f"{what} cannot be read ({error}). It is cut off or belongs to another system; resume "
            "the run or train it again."
        ) from error
