"""Which layers CoRA adapts: from logical roles to modules of a model and rows of their output."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from corarec.adapter.architectures import LayerPattern, Role, find_layers, quoted
from corarec.errors import ConfigError


@dataclass(frozen=True)
class Target:
    """One layer to adapt."""

    names: tuple[str, ...]
    """Full name of the module inside the backbone; all its names where blocks share it."""
    in_features: int
    out_features: int
    rows: torch.Tensor | None
    """Output rows that get an increment: int64 [rows], or None for all of them."""

    @property
    def name(self) -> str:
        """The first of the names."""
        return self.names[0]


def find_targets(
    model: nn.Module,
    roles: Sequence[Role],
    layers: Sequence[LayerPattern] | None,
    blocks: Sequence[int] | None = None,
) -> list[Target]:
    """List the layers of `model` that hold `roles`, in the order of the model.

    Parameters
    ----------
    model
        The backbone, adapted already or not.
    roles
        What to adapt.
    layers
        Where the roles live; None finds them by the names that architectures give them.
    blocks
        Numbers of the blocks to adapt; None for all.

    Raises
    ------
    ConfigError
        A role has no layer or more than one kind of it, a layer cannot be adapted, or there is no
        such block.
    """
    known = find_layers(model, roles) if layers is None else layers
    wanted = [pattern for pattern in known if set(pattern.roles) & set(roles)]
    modules: dict[int, tuple[nn.Module, list[str]]] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        modules.setdefault(id(module), (module, []))[1].append(name)
    targets = []
    found: set[Role] = set()
    there: set[int] = set()
    for module, names in modules.values():
        hits = [name for name in names if any(pattern.matches(name) for pattern in wanted)]
        if blocks is not None:
            there.update(number for name in hits if (number := block_number(name)) is not None)
            hits = [name for name in hits if block_number(name) in blocks]
        if not hits:
            continue
        _refuse_outside(model, names, hits)
        pattern = next(pattern for pattern in wanted if pattern.matches(hits[0]))
        chosen = [role for role in pattern.roles if role in roles]
        in_features, out_features = _layer_size(hits[0], module)
        rows = _rows(hits[0], pattern, chosen, out_features, getattr(model, "config", None))
        targets.append(Target(tuple(hits), in_features, out_features, rows))
        found.update(chosen)
    if unknown := [number for number in blocks or () if number not in there]:
        raise ConfigError(
            f"`layers_to_transform` names block {unknown[0]}, but the blocks of "
            f"{type(model).__name__} that hold {quoted(roles)} are "
            f"{', '.join(map(str, sorted(there))) or 'not numbered'}."
        )
    if missing := [role for role in roles if role not in found]:
        paths = ", ".join(pattern.path for pattern in known)
        raise ConfigError(
            f"No layer of {type(model).__name__} holds {quoted(missing)}: the layers looked for "
            f"are {paths}. Leave these roles out of `target_modules` (in a recipe `targets`), or "
            "say in `layers` where they live."
        )
    return targets


def block_number(name: str) -> int | None:
    """Return the number of the block that a module stands in: the first number in its name."""
    return next((int(part) for part in name.split(".") if part.isdigit()), None)


def _refuse_outside(model: nn.Module, names: list[str], hits: list[str]) -> None:
    """Refuse a module that also stands where no pattern looks."""

    def place(name: str) -> tuple[int, str]:
        parent, _, last = name.rpartition(".")
        return id(model.get_submodule(parent)), last

    covered = {place(name) for name in hits}
    if outside := [name for name in names if place(name) not in covered]:
        raise ConfigError(
            f"{hits[0]} and {outside[0]} are one and the same layer, of which only the first is to "
            "be adapted. Name both in `layers`, or neither."
        )


def _layer_size(name: str, module: nn.Module) -> tuple[int, int]:
    if isinstance(module, Conv1D):
        inputs, outputs = module.weight.shape
        return inputs, outputs
    inputs = getattr(module, "in_features", None)
    outputs = getattr(module, "out_features", None)
    if not isinstance(inputs, int) or not isinstance(outputs, int):
        raise ConfigError(
            f"{name} is a {type(module).__name__}, which is no linear layer: it has no "
            "`in_features` and `out_features`, so there is no W to add an increment to. "
            "Leave its role out of `target_modules`."
        )
    return inputs, outputs


def _rows(
    name: str, pattern: LayerPattern, chosen: list[Role], out_features: int, config: Any
) -> torch.Tensor | None:
    """Return the output rows of the roles chosen from a fused layer, or None for all rows."""
    if len(chosen) == len(pattern.roles):
        return None
    if pattern.layout == "whole":
        raise ConfigError(
            f"{name} holds {quoted(pattern.roles)} in one weight, and which rows are those of "
            f"{quoted(chosen)} is not known for this architecture. Adapt all of them, or say in "
            "`layers` whether its `layout` is 'stacked' or 'per_head'."
        )
    heads = getattr(config, "num_attention_heads", 1)
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    heads_of = {"q": heads, "k": key_heads, "v": key_heads}
    shares = [heads_of.get(role, 1) for role in pattern.roles]
    if out_features % sum(shares):
        raise ConfigError(
            f"{name} has {out_features} output rows, which {sum(shares)} heads of "
            f"{quoted(pattern.roles)} do not divide, so the rows of {quoted(chosen)} cannot be "
            "told from the others. Adapt all of its roles."
        )
    rows = torch.arange(out_features)
    places = [pattern.roles.index(role) for role in chosen]
    if pattern.layout == "per_head":
        return rows.view(heads, len(pattern.roles), -1)[:, places].flatten()
    size = out_features // sum(shares)
    parts = rows.split([share * size for share in shares])
    return torch.cat([parts[place] for place in places])
