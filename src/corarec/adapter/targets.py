"""Which layers CoRA adapts: from logical roles to the modules of an architecture."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from pydantic import Field
from torch import nn
from transformers.pytorch_utils import Conv1D

from corarec.errors import ConfigError
from corarec.types import Config

Role = Literal["q", "k", "v", "o", "gate", "up", "down"]
"""Query, key, value and output of the attention; gate, up and down of the feed-forward."""

ROLES: tuple[Role, ...] = get_args(Role)


class LayerPattern(Config):
    """Where an architecture keeps the weights of one role, or of several in one layer."""

    path: str
    """Full name of the module; `*` stands for one name between dots, such as a block's number."""
    roles: tuple[Role, ...] = Field(min_length=1)
    """The roles whose output rows this layer holds, in their order."""
    layout: Literal["stacked", "per_head"] = "stacked"
    """Of a fused layer: all rows of a role together, or the rows of each role inside each head."""

    def matches(self, name: str) -> bool:
        """Tell whether the module called `name` is such a layer."""
        return re.fullmatch(re.escape(self.path).replace(r"\*", r"[^.]+"), name) is not None


@dataclass(frozen=True)
class Architecture:
    """The adaptable layers of one `model_type` of Transformers."""

    layers: tuple[LayerPattern, ...]
    note: str = ""
    """Why a role is missing, for the error."""


@dataclass(frozen=True)
class Target:
    """One layer to adapt."""

    name: str
    """Full name of the module inside the backbone."""
    in_features: int
    out_features: int
    rows: torch.Tensor | None
    """Output rows that get an increment: int64 [rows], or None for all of them."""


def _patterns(block: str, layers: dict[str, str], per_head: str = "") -> tuple[LayerPattern, ...]:
    return tuple(
        LayerPattern(
            path=f"{block}.{path}",
            roles=roles.split(),
            layout="per_head" if path == per_head else "stacked",
        )
        for path, roles in layers.items()
    )


_SEPARATE_ATTENTION = {
    "self_attn.q_proj": "q",
    "self_attn.k_proj": "k",
    "self_attn.v_proj": "v",
    "self_attn.o_proj": "o",
}
_GATED_MLP = {"mlp.gate_proj": "gate", "mlp.up_proj": "up", "mlp.down_proj": "down"}

_LLAMA = Architecture(_patterns("model.layers.*", _SEPARATE_ATTENTION | _GATED_MLP))
_MIXTURE = Architecture(
    _patterns("model.layers.*", _SEPARATE_ATTENTION),
    "Its feed-forward experts are slices of one stacked parameter, not linear layers, and a router "
    "mixes the rows of the batch on the way there.",
)
_PHI3 = Architecture(
    _patterns(
        "model.layers.*",
        {
            "self_attn.qkv_proj": "q k v",
            "self_attn.o_proj": "o",
            "mlp.gate_up_proj": "gate up",
            "mlp.down_proj": "down",
        },
    )
)
_GPT2 = Architecture(
    _patterns(
        "transformer.h.*",
        {
            "attn.c_attn": "q k v",
            "attn.c_proj": "o",
            "mlp.c_fc": "up",
            "mlp.c_proj": "down",
        },
    ),
    "Its feed-forward has no gate.",
)
_GPT_NEOX = Architecture(
    _patterns(
        "gpt_neox.layers.*",
        {
            "attention.query_key_value": "q k v",
            "attention.dense": "o",
            "mlp.dense_h_to_4h": "up",
            "mlp.dense_4h_to_h": "down",
        },
        per_head="attention.query_key_value",
    ),
    "Its feed-forward has no gate.",
)

ARCHITECTURES: dict[str, Architecture] = {
    "gemma": _LLAMA,
    "gemma2": _LLAMA,
    "gemma3_text": _LLAMA,
    "gpt2": _GPT2,
    "gpt_neox": _GPT_NEOX,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "mixtral": _MIXTURE,
    "olmo": _LLAMA,
    "olmo2": _LLAMA,
    "olmoe": _MIXTURE,
    "phi3": _PHI3,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "qwen3_moe": _MIXTURE,
}
"""`model_type` -> where its roles live. All that this package knows about architectures."""


def find_targets(
    model: nn.Module, roles: Sequence[Role], layers: Sequence[LayerPattern] | None
) -> list[Target]:
    """List the layers of `model` that hold `roles`, in the order of the model.

    Parameters
    ----------
    model
        The backbone, adapted already or not.
    roles
        What to adapt.
    layers
        Where the roles live; None looks the model type up in `ARCHITECTURES`.

    Raises
    ------
    ConfigError
        The model type is unknown, a role has no layer, or a layer cannot be adapted.
    """
    config = getattr(model, "config", None)
    known = _layers_of(getattr(config, "model_type", None), roles) if layers is None else layers
    wanted = [pattern for pattern in known if set(pattern.roles) & set(roles)]
    targets = []
    found: set[Role] = set()
    for name, module in model.named_modules():
        pattern = next((pattern for pattern in wanted if pattern.matches(name)), None)
        if pattern is None:
            continue
        chosen = [role for role in pattern.roles if role in roles]
        in_features, out_features = _layer_size(name, module)
        rows = _rows(name, pattern, chosen, out_features, config)
        targets.append(Target(name, in_features, out_features, rows))
        found.update(chosen)
    if missing := [role for role in roles if role not in found]:
        paths = ", ".join(pattern.path for pattern in known)
        raise ConfigError(
            f"No layer of {type(model).__name__} holds {_quoted(missing)}: the layers looked for "
            f"are {paths}. Leave these roles out of `targets`, or say in `layers` where they live."
        )
    return targets


def _layers_of(model_type: str | None, roles: Sequence[Role]) -> tuple[LayerPattern, ...]:
    architecture = ARCHITECTURES.get(model_type or "")
    if architecture is None:
        raise ConfigError(
            f"CoRA does not know where the model type {model_type!r} keeps its layers; it knows "
            f"{', '.join(ARCHITECTURES)}. Say so yourself, for example "
            "CoraConfig(layers=[LayerPattern(path='model.layers.*.attn.wq', roles=('q',))])."
        )
    offered = {role for layer in architecture.layers for role in layer.roles}
    if missing := [role for role in roles if role not in offered]:
        raise ConfigError(
            f"The model type {model_type!r} has no linear layer for {_quoted(missing)}. "
            f"{architecture.note} Choose `targets` among "
            f"{_quoted([role for role in ROLES if role in offered])}."
        )
    return architecture.layers


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
            "Leave its role out of `targets`."
        )
    return inputs, outputs


def _rows(
    name: str, pattern: LayerPattern, chosen: list[Role], out_features: int, config: Any
) -> torch.Tensor | None:
    """Return the output rows of the roles chosen from a fused layer, or None for all rows."""
    if len(chosen) == len(pattern.roles):
        return None
    heads = getattr(config, "num_attention_heads", 1)
    key_heads = getattr(config, "num_key_value_heads", None) or heads
    heads_of = {"q": heads, "k": key_heads, "v": key_heads}
    shares = [heads_of.get(role, 1) for role in pattern.roles]
    if out_features % sum(shares):
        raise ConfigError(
            f"{name} has {out_features} output rows, which {sum(shares)} heads of "
            f"{_quoted(pattern.roles)} do not divide, so the rows of {_quoted(chosen)} cannot be "
            "told from the others. Adapt all of its roles."
        )
    rows = torch.arange(out_features)
    places = [pattern.roles.index(role) for role in chosen]
    if pattern.layout == "per_head":
        return rows.view(heads, len(pattern.roles), -1)[:, places].flatten()
    size = out_features // sum(shares)
    parts = rows.split([share * size for share in shares])
    return torch.cat([parts[place] for place in places])


def _quoted(roles: Sequence[Role]) -> str:
    return ", ".join(f"'{role}'" for role in roles)
