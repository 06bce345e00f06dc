"""What comes into a forward pass, seen to be as wanted."""

from collections.abc import Mapping
from typing import Any

import torch

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


def check_vectors(cf_vectors: torch.Tensor, size: int) -> None:
    """See that CF vectors are [B, 2 * size] floating-point numbers.

    Raises
    ------
    DataError
        They are not.
    """
    if not isinstance(cf_vectors, torch.Tensor):
        raise DataError(
            f"`cf_vectors` is a {type(cf_vectors).__name__}; give a tensor of the shape "
            f"[B, {2 * size}]."
        )
    if cf_vectors.dim() != 2 or cf_vectors.shape[1] != 2 * size:
        raise DataError(
            f"`cf_vectors` has the shape {list(cf_vectors.shape)}, but this adapter was made "
            f"for [B, {2 * size}]: a user vector of {size} numbers, then an item vector of "
            f"{size}."
        )
    if not cf_vectors.is_floating_point():
        raise DataError(
            f"`cf_vectors` has the type {cf_vectors.dtype}; give vectors of a CF model, which "
            "are floating-point numbers, and not ids."
        )
