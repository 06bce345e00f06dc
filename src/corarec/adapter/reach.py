"""What comes into a forward pass beside the vectors, and which layers the increment reached."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from corarec.adapter.binding import Increment
from corarec.backbone.compiling import is_compiled
from corarec.errors import ConfigError, DataError


def refuse_names(keywords: Mapping[str, Any]) -> None:
    """Refuse PEFT's keywords for batches of several adapters.

    Raises
    ------
    ConfigError
        One of them came.
    """
    for keyword in ("adapter_names", "alora_offsets"):
        if keywords.get(keyword) is not None:
            raise ConfigError(
                f"`{keyword}` came, but CoRA runs one adapter for the whole batch, and it is "
                "`cf_vectors` that make its rows different. Choose the adapter with "
                "`set_adapter(name)` and run the rows of each adapter in a batch of their own."
            )


def as_mask(active: torch.Tensor | None) -> torch.Tensor | None:
    """Return `cf_active: [B, T]` as bool; whole numbers will do if all are 0 or 1.

    Raises
    ------
    DataError
        It is no such tensor.
    """
    if active is None:
        return None
    if isinstance(active, torch.Tensor) and active.dim() == 2:
        if active.dtype == torch.bool:
            return active
        whole = not (active.is_floating_point() or active.is_complex())
        if whole and bool(((active == 0) | (active == 1)).all()):
            return active.bool()
    came = (
        f"has the type {active.dtype} and the shape {list(active.shape)}"
        if isinstance(active, torch.Tensor)
        else f"is a {type(active).__name__}"
    )
    raise DataError(
        f"`cf_active` {came}; give a tensor of bool (or of 0 and 1), [B, T]: True on the tokens "
        "where the increment acts. It cannot weigh it."
    )


def check_reached(model: nn.Module, names: Sequence[str], increment: Increment) -> None:
    """Look for adapted layers that had no part in a forward pass.

    Nothing is said of a model with compiled parts, whose calls leave no trace.

    Raises
    ------
    ConfigError
        The model reads the weight of a layer without calling it.
    """
    if any(is_compiled(module) for module in model.modules()):
        return
    missed = [name for name in names if name not in increment.called]
    if past := [name for name in missed if name in increment.read]:
        raise ConfigError(
            f"The model reads the weight of {past[0]} without calling the layer, so no increment "
            f"can act there ({len(past)} such layers). Leave it out of `layers`, or its role out "
            "of `target_modules`."
        )
    if missed:
        warnings.warn(
            f"The model did not call {missed[0]} in this forward pass ({len(missed)} of "
            f"{len(names)} adapted layers): where it never does, the increment has no effect and "
            "its P does not train. Leave such layers out of `layers`.",
            stacklevel=3,
        )
