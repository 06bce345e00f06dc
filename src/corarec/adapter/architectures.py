"""Where an architecture keeps its roles: found by the names that its layers bear."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, get_args

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
    layout: Literal["stacked", "per_head", "whole"] = "stacked"
    """Of a fused layer: all rows of a role together, the rows of each role inside each head, or
    unknown, so that its roles can only be adapted together."""

    def matches(self, name: str) -> bool:
        """Tell whether the module called `name` is such a layer."""
        return re.fullmatch(re.escape(self.path).replace(r"\*", r"[^.]+"), name) is not None


ATTENTION: tuple[dict[str, str], ...] = (
    {"q_proj": "q", "k_proj": "k", "v_proj": "v", "o_proj": "o"},
    {"q_proj": "q", "k_proj": "k", "v_proj": "v", "out_proj": "o"},
    {"q_proj": "q", "k_proj": "k", "v_proj": "v", "dense": "o"},
    {"q_proj": "q", "k_proj": "k", "v_proj": "v", "Wo": "o"},
    {"Wq": "q", "Wk": "k", "Wv": "v", "dense": "o"},
    {"qkv_proj": "q k v", "o_proj": "o"},
    {"qkv_proj": "q k v", "out_proj": "o"},
    {"query_key_value": "q k v", "dense": "o"},
    {"c_attn": "q k v", "c_proj": "o"},
    {"Wqkv": "q k v", "out_proj": "o"},
    # Latent attention: the layers that make the queries, the keys and the values of the heads.
    {"q_proj": "q", "kv_b_proj": "k v", "o_proj": "o"},
    {"q_b_proj": "q", "kv_b_proj": "k v", "o_proj": "o"},
)
"""Names of the layers of one attention module -> the roles that they hold."""

FEED_FORWARD: tuple[dict[str, str], ...] = (
    {"gate_proj": "gate", "up_proj": "up", "down_proj": "down"},
    {"gate_up_proj": "gate up", "down_proj": "down"},
    {"w1": "gate", "w3": "up", "w2": "down"},
    {"up_proj": "up", "down_proj": "down"},
    {"fc1": "up", "fc2": "down"},
    {"fc_in": "up", "fc_out": "down"},
    {"c_fc": "up", "c_proj": "down"},
    {"dense_h_to_4h": "up", "dense_4h_to_h": "down"},
)
"""Names of the layers of one feed-forward -> the roles that they hold."""

OTHERS = re.compile("linear_attn|cross_attn|encoder_attn|vision|visual|image|audio")
"""Places whose layers bear the same names and are no attention of the text to itself."""

OTHER_CLASSES = re.compile("Delta|Lightning")
"""Classes of recurrent layers that bear the names of an attention."""

LAYOUTS: Mapping[str, Literal["stacked", "per_head"]] = {
    "bloom": "per_head",
    "gpt2": "stacked",
    "gpt_neox": "per_head",
    "mpt": "stacked",
    "persimmon": "per_head",
    "phi3": "stacked",
}
"""`model_type` -> how its fused attention layer holds its rows; the others are adapted whole."""


def find_layers(model: nn.Module, roles: Sequence[Role]) -> list[LayerPattern]:
    """Find where `model` keeps `roles`.

    A role must live in one kind of layer, at one place of every block that has it: two towers,
    cross-attention beside self-attention, or two kinds of attention under one name are left to the
    user.

    Raises
    ------
    ConfigError
        A role has no layer that is known by its name, or more than one kind of it.
    """
    model_type = getattr(getattr(model, "config", None), "model_type", None)
    has_experts = any(name.rpartition(".")[2] == "experts" for name, _ in model.named_modules())
    found: dict[Role, dict[str, LayerPattern]] = {role: {} for role in ROLES}
    numbered: dict[str, list[LayerPattern]] = {}
    for pattern in _conventional(model, LAYOUTS.get(model_type or "", "whole")):
        general = pattern.model_copy(update={"path": _starred(pattern.path)})
        numbered.setdefault(general.path, []).append(pattern)
        for role in pattern.roles:
            found[role][general.path] = general
    if has_experts:
        for role in ("gate", "up", "down"):
            found[role].clear()
    wanted = {role: list(found[role].values()) for role in roles}
    for role, patterns in wanted.items():
        if len(patterns) > 1:
            raise ConfigError(
                f"The model type {model_type!r} has several kinds of layers for '{role}': "
                f"{', '.join(pattern.path for pattern in patterns)}. Say which to adapt, for "
                f"example layers=[LayerPattern(path='{patterns[0].path}', "
                f"roles={patterns[0].roles!r})]."
            )
    if missing := [role for role in roles if not wanted[role]]:
        raise ConfigError(_missing(model, model_type, missing, found, has_experts))
    chosen = {p.path: p for patterns in wanted.values() for p in patterns}
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    return [
        exact
        for path, general in chosen.items()
        # Blocks of another kind may have a layer of the same name, which is none of these.
        for exact in (
            [general] if sum(map(general.matches, names)) == len(numbered[path]) else numbered[path]
        )
    ]


def _conventional(
    model: nn.Module, layout: Literal["stacked", "per_head", "whole"]
) -> Iterator[LayerPattern]:
    """Yield one pattern for each layer inside a block that bears a name of a convention."""
    for parent_name, parent in model.named_modules(remove_duplicate=False):
        place = _starred(parent_name)
        # One star: inside a numbered block, and not in a part of it that is numbered, too.
        if place.count("*") != 1 or OTHERS.search(place):
            continue
        if OTHER_CLASSES.search(type(parent).__name__):
            continue
        linear = {name for name, child in parent._modules.items() if child and is_linear(child)}
        for conventions in (ATTENTION, FEED_FORWARD):
            names = next((names for names in conventions if names.keys() <= linear), {})
            for name, held in names.items():
                held_roles = held.split()
                fused = layout if held_roles[:2] == ["q", "k"] else "stacked"
                whole = "whole" if held_roles == ["k", "v"] else fused
                yield LayerPattern(path=f"{parent_name}.{name}", roles=held_roles, layout=whole)


def is_linear(module: nn.Module) -> bool:
    """Tell whether a module, adapted or not, is a linear layer."""
    sizes = getattr(module, "in_features", None), getattr(module, "out_features", None)
    return isinstance(module, Conv1D) or all(isinstance(size, int) for size in sizes)


def _starred(name: str) -> str:
    return ".".join("*" if part.isdigit() else part for part in name.split("."))


def _missing(
    model: nn.Module,
    model_type: str | None,
    missing: Sequence[Role],
    found: Mapping[Role, Mapping[str, LayerPattern]],
    has_experts: bool,
) -> str:
    """Return what to do about roles that were not found."""
    paths = dict.fromkeys(_starred(name) for name, m in model.named_modules() if is_linear(m))
    inside = [path for path in paths if "*" in path]
    offered = [role for role in ROLES if found[role]]
    example = inside[0] if inside else "model.layers.*.attn.wq"
    if not offered:
        return (
            f"CoRA does not know where the model type {model_type!r} keeps its layers: it has no "
            f"attention or feed-forward whose layers bear known names, so {quoted(missing)} are "
            f"not there. Its linear layers are {', '.join(inside) or 'none inside blocks'}. Say "
            "yourself which to adapt, under a role of your choice, for example "
            f"target_modules=['q'], layers=[LayerPattern(path='{example}', roles=('q',))]."
        )
    note = ""
    if has_experts:
        note = (
            " Its feed-forward experts are not plain linear layers, and a router mixes the rows of "
            "the batch on the way there."
        )
    elif "gate" in missing and found["up"]:
        note = " Its feed-forward has no gate."
    elif not found["q"]:
        note = " Its blocks hold no attention of a known form."
    return (
        f"The model type {model_type!r} has no linear layer for {quoted(missing)}.{note} Choose "
        f"`target_modules` (in a recipe `targets`) among {quoted(offered)}, or say in `layers` "
        f"which of its layers to adapt: {', '.join(inside)}."
    )


def quoted(roles: Sequence[Role]) -> str:
    """Return the roles as a list for an error."""
    return ", ".join(f"'{role}'" for role in roles)
