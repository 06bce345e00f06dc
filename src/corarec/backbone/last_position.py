"""The last block of a language model for the last position alone, where nothing else is asked for.

Behind the last block only the last position is read. So that block makes keys and values of all
tokens, and queries, its output projection and its feed-forward of the last one. How it is built
does not matter: it runs once up to its attention, which notes keys and values, and once more on the
last token, whose queries meet them.
"""

import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from corarec.backbone.attention import (
    EnoughError,
    Narrowing,
    NotSharedError,
    Watcher,
    doing,
    in_blocks,
    narrowed,
    standing_in_front,
)
from corarec.backbone.compiling import is_compiled, uncompiled
from corarec.backbone.trial import check_alike, failing, made_up_prompts

TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-5}
"""How far, relative to the largest, logits by the last position alone may lie from the model's own
in the trial that every model undergoes."""


class _Switch(threading.local):
    """What a last block shall do in this thread."""

    on: bool = False
    """Whether only the last position is asked for."""
    noting: bool = False
    """Whether the last block runs for its keys and values."""
    narrow: bool = False
    """Whether it runs for the last position."""


_SWITCH = _Switch()


def is_narrow() -> bool:
    """Return whether this thread is in a block that reads the last of several tokens alone."""
    return _SWITCH.narrow


class _KeysOfAll(Narrowing):
    """Notes the keys and values of all tokens and gives them to the queries of the last."""

    def __init__(self) -> None:
        self.kept: tuple[torch.Tensor, torch.Tensor] | None = None

    def take(
        self,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        options: dict[str, Any],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, dict[str, Any]]:
        if self.kept is None:
            self.kept = key, value
            raise EnoughError
        if mask is not None:
            if mask.dim() != 4:
                raise NotSharedError("its mask is none of rows and columns")
            mask = mask[:, :, -1:]
        if (bias := options.get("position_bias")) is not None:
            options = options | {"position_bias": bias[:, :, -1:]}
        return *self.kept, mask, options


class LastPosition:
    """Lets the last block of a causal language model answer for the last position alone.

    Every model undergoes a trial first: some made-up prompts are answered in both ways. Outside of
    `only` the model is as it was, to the bit; compiled blocks but the last stay compiled within.

    Parameters
    ----------
    model
        The model itself, adapted or not, without PEFT around it. Its adapter, if any, must be off
        or of the kind that needs no vectors while the trial runs.

    Raises
    ------
    NotSharedError
        Its last block cannot be found or cut, or the answers differ.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        with standing_in_front(model), uncompiled(), torch.no_grad():
            ids, mask = self._prompts()
            self.block, attention = self._find(ids)
            usual = self.block._compiled_call_impl
            call = usual if isinstance(usual, _LastBlock) else _LastBlock(self.block, usual)
            self.block._compiled_call_impl = self._call = call
            try:
                try:
                    self._try(ids, mask)
                except NotSharedError:
                    # What stands behind the blocks may count on as many positions as came in.
                    self._call.widens = True
                    self._try(ids, mask)
                self._skip_queries(attention, ids)
            except BaseException:
                self.block._compiled_call_impl = usual
                raise

    @contextmanager
    def only(self) -> Iterator[None]:
        """Ask for the last position alone, in this thread and within the block.

        Of the logits only the last are then right, and there may be no others. Prompts are padded
        on the left, and no cache comes in or goes out. On a CPU, queries of 16-bit weights go in
        blocks.
        """
        _SWITCH.on = True
        try:
            with in_blocks():
                yield
        finally:
            _SWITCH.on = False

    def _prompts(self) -> tuple[torch.Tensor, torch.Tensor]:
        ids = made_up_prompts(self.model)
        mask = torch.ones_like(ids)
        mask[0, :2] = 0
        return ids.to(self.model.device), mask.to(self.model.device)

    def _find(self, ids: torch.Tensor) -> tuple[nn.Module, nn.Module]:
        """Return the last block and its attention.

        Raises
        ------
        NotSharedError
            What attends last is in no last block, or in one that is run twice.
        """
        seen = _Attending()
        with doing(seen), failing():
            self.model(input_ids=ids, use_cache=False, logits_to_keep=1)
        if not seen.modules:
            raise NotSharedError("its attention does not go through Transformers' registry")
        attention = seen.modules[-1]
        for module in self.model.modules():
            if isinstance(module, nn.ModuleList) and len(module):
                block = module[-1]
                inside = set(block.modules())
                if attention in inside and sum(other in inside for other in seen.modules) == 1:
                    return block, attention
        raise NotSharedError("its last attention is in no last block of its own")

    def _try(self, ids: torch.Tensor, mask: torch.Tensor) -> None:
        """Answer made-up prompts in both ways, with padding and without.

        Raises
        ------
        NotSharedError
            The answers differ, or there are none.
        """
        for rows in (slice(None), slice(1, None)):
            with failing():
                whole = self._logits(ids[rows], mask[rows], nullcontext())
                last = self._logits(ids[rows], mask[rows], self.only())
            check_alike(self.model, whole[:, -1], last[:, -1], TOLERANCES)

    def _logits(
        self, ids: torch.Tensor, mask: torch.Tensor, way: AbstractContextManager[None]
    ) -> torch.Tensor:
        places: dict[str, torch.Tensor] = {}
        if "position_ids" in inspect.signature(self.model.forward).parameters:
            places["position_ids"] = (mask.cumsum(dim=1) - 1).clamp(min=0)
        with way:
            output = self.model(input_ids=ids, attention_mask=mask, use_cache=False, **places)
        logits: torch.Tensor = output.logits.float()
        return logits

    def _skip_queries(self, attention: nn.Module, ids: torch.Tensor) -> None:
        """Let linear layers that keys and values do not depend on run for the last token alone."""
        if is_compiled(self.block):
            return  # what is compiled calls its layers itself
        expected = self._noted(ids)
        for layer in attention.children():
            if layer._compiled_call_impl is not None or not hasattr(layer, "out_features"):
                continue
            layer._compiled_call_impl = _Skipped(layer)
            # It gives no numbers: whatever depends on the layer shows it.
            with suppress(NotSharedError), failing():
                found = self._noted(ids)
                if torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1]):
                    continue
            layer._compiled_call_impl = None

    def _noted(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        taken: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._call.watch = taken.append
        try:
            self._logits(ids, torch.ones_like(ids), self.only())
        finally:
            self._call.watch = None
        return taken[0]


class _Attending(Watcher):
    """Notes which modules attend, in turn."""

    def __init__(self) -> None:
        self.modules: list[nn.Module] = []

    def note(self, module: nn.Module, key: torch.Tensor, value: torch.Tensor) -> None:
        self.modules.append(module)


class _LastBlock:
    """How the last block is called.

    It stands where torch keeps a compiled form, which a module asks first and copies leave out: a
    hook would run inside of that form, and a module around the block would change its name.
    """

    def __init__(self, block: nn.Module, usual: Callable[..., Any] | None) -> None:
        self.block = block
        self.compiled = usual
        self.widens = False
        """Whether the last position is given in place of every other, too."""
        self.watch: Callable[[tuple[torch.Tensor, torch.Tensor]], None] | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not _SWITCH.on:
            return (self.compiled or self.block._call_impl)(*args, **kwargs)
        hidden = args[0] if args else kwargs.get("hidden_states")
        if not isinstance(hidden, torch.Tensor) or hidden.dim() != 3:
            raise NotSharedError("its last block does not read tokens")
        length = hidden.shape[1]
        keys = _KeysOfAll()
        with narrowed(keys):
            _SWITCH.noting = True
            try:
                with suppress(EnoughError):
                    self.block._call_impl(*args, **kwargs)
            finally:
                _SWITCH.noting = False
            if keys.kept is None:
                raise NotSharedError("its last block does not attend")
            if self.watch is not None:
                self.watch(keys.kept)
            last = [_of_last(value, length) for value in args]
            _SWITCH.narrow = True
            try:
                output = self.block._call_impl(*last, **_of_last(kwargs, length))
            finally:
                _SWITCH.narrow = False
        return _for_all(output, length) if self.widens else output


class _Skipped:
    """How a layer is called that keys and values do not depend on."""

    compiled = None

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer
        self.out_features: int = layer.out_features  # type: ignore[assignment]

    def __call__(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        if not _SWITCH.noting:
            return self.layer._call_impl(x, *args, **kwargs)
        return x.new_full((1,), torch.nan).expand(*x.shape[:-1], self.out_features)


def _of_last(value: Any, length: int) -> Any:
    """Return what a block gets for the last of `length` tokens; masks stay whole."""
    if isinstance(value, Mapping):
        return {
            name: part if "mask" in str(name) else _of_last(part, length)
            for name, part in value.items()
        }
    if isinstance(value, tuple):
        return tuple(_of_last(part, length) for part in value)
    if isinstance(value, torch.Tensor):
        if value.dim() > 1 and value.shape[1] == length:
            return value[:, -1:]
        if value.dim() == 1 and len(value) == length:
            return value[-1:]
    return value


def _for_all(output: Any, length: int) -> Any:
    """Return what a block gave for the last position as if all had it."""
    if isinstance(output, tuple):
        return (_for_all(output[0], length), *output[1:])
    return output.expand(-1, length, -1)
