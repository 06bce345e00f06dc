"""A function of ours in front of a model's attention, reached through Transformers' registry.

Outside of `doing` and `narrowed` it is the model's own attention to the bit.
"""

import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

_OURS = "corarec_shared_"
_BLOCKS = 3
_16_BIT = (torch.bfloat16, torch.float16)

Attention = Callable[..., tuple[torch.Tensor, torch.Tensor | None]]


class NotSharedError(Exception):
    """Why a pass of a model cannot be cut short."""


class EnoughError(Exception):
    """All keys and values that were asked for are noted: ends a pass where it is."""


class Watcher(ABC):
    """Sees the keys and values of every layer."""

    @abstractmethod
    def note(self, module: torch.nn.Module, key: torch.Tensor, value: torch.Tensor) -> None:
        """Take notice of those of one layer: [B, key heads, T, size] both."""


class Substitute(ABC):
    """Attends in place of the model."""

    @abstractmethod
    def attend(
        self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, **options: Any
    ) -> tuple[torch.Tensor, None]:
        """Return what the queries find: [B, T, heads, value size]."""


class Narrowing(ABC):
    """Hands a layer other keys and values than its own."""

    @abstractmethod
    def take(
        self,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        options: dict[str, Any],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, dict[str, Any]]:
        """Return what the queries meet in place of these."""


class _Place(threading.local):
    """What the attention of this thread is doing; None: what the model's own does."""

    now: Watcher | Substitute | None = None
    narrowing: Narrowing | None = None
    in_blocks: bool = False


_PLACE = _Place()


@contextmanager
def doing(what: Watcher | Substitute) -> Iterator[None]:
    """Let the attention of this thread be watched or done by `what` within the block."""
    _PLACE.now = what
    try:
        yield
    finally:
        _PLACE.now = None


@contextmanager
def narrowed(what: Narrowing) -> Iterator[None]:
    """Let the attention of this thread ask `what` for keys and values within the block."""
    _PLACE.narrowing = what
    try:
        yield
    finally:
        _PLACE.narrowing = None


@contextmanager
def in_blocks() -> Iterator[None]:
    """Let queries on a CPU go in blocks, each to the keys up to its end, within the block.

    A causal model sees nothing behind; attention itself would compute it and throw it away. Only
    with 16-bit weights, whose products are so quick that attention is a large share: the last bits
    differ. Whoever asks for it has seen that the model is causal.
    """
    _PLACE.in_blocks = True
    try:
        yield
    finally:
        _PLACE.in_blocks = False


@contextmanager
def standing_in_front(model: PreTrainedModel) -> Iterator[None]:
    """Put our function in front of a model's attention, to stay unless the block fails.

    Raises
    ------
    NotSharedError
        It cannot be reached.
    """
    own = model.config._attn_implementation
    if str(own).startswith(_OURS):
        yield
        return
    _stand_in_front(model, own)
    try:
        yield
    except BaseException:
        model.set_attn_implementation(own)
        raise


def _stand_in_front(model: PreTrainedModel, own: str | None) -> None:
    """Put our function in front of the model's attention, under a name of the registry."""
    if own == "eager":
        names = {type(module).__module__ for module in model.modules()}
        found = {
            name: function
            for name in names
            if (function := getattr(sys.modules[name], "eager_attention_forward", None))
        }
        if len(set(found.values())) != 1:
            raise NotSharedError("its attention does not go through Transformers' registry")
        attention = next(iter(found.values()))
        name = f"{_OURS}eager_{min(found)}"
    elif own == "sdpa":
        attention, name = ALL_ATTENTION_FUNCTIONS[own], f"{_OURS}{own}"
    else:
        raise NotSharedError(f"its attention is {own!r}, where sdpa or eager is wanted")
    if not model._can_set_attn_implementation():
        raise NotSharedError("its attention does not go through Transformers' registry")
    AttentionInterface.register(name, _in_front_of(attention))
    AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[own])
    model.set_attn_implementation(name)
    if model.config._attn_implementation != name:
        raise NotSharedError("its attention does not go through Transformers' registry")


def _in_front_of(own: Attention) -> Attention:
    def attend(
        module: torch.nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        **options: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        now, narrowing = _PLACE.now, _PLACE.narrowing
        if narrowing is not None:
            key, value, attention_mask, options = narrowing.take(
                key, value, attention_mask, options
            )
        if isinstance(now, Substitute):
            return now.attend(query, key, value, **options)
        if now is not None:
            now.note(module, key, value)
        elif (
            narrowing is None
            and not torch.compiler.is_compiling()
            and _PLACE.in_blocks
            and _may_go_in_blocks(module, query, key, attention_mask, options)
        ):
            return _by_blocks(own, module, query, key, value, attention_mask, options), None
        return own(module, query, key, value, attention_mask, **options)

    return attend


def _may_go_in_blocks(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    mask: torch.Tensor | None,
    options: dict[str, Any],
) -> bool:
    length = query.shape[2]
    if query.device.type != "cpu" or query.dtype not in _16_BIT or key.shape[2] != length:
        return False
    if options.get("is_causal") is not None or options.get("position_bias") is not None:
        return False
    if mask is None:
        return length >= _BLOCKS and getattr(module, "is_causal", True)
    return length >= _BLOCKS and mask.dim() == 4 and mask.shape[2:] == (length, length)


def _by_blocks(
    own: Attention,
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    options: dict[str, Any],
) -> torch.Tensor:
    """Return what the queries find: [B, T, heads, value size]."""
    length = query.shape[2]
    if mask is None:
        least = torch.finfo(query.dtype).min
        mask = torch.full((1, 1, length, length), least, dtype=query.dtype).triu(1)
    step = -(-length // _BLOCKS)
    found = []
    for first in range(0, length, step):
        end = min(first + step, length)
        rows = slice(first, end)
        found.append(
            own(
                module,
                query[:, :, rows],
                key[:, :, :end],
                value[:, :, :end],
                mask[:, :, rows, :end],
                **options,
            )[0]
        )
    return torch.cat(found, dim=1)
