"""How the matrices of a forward pass reach the adapted layers: a scope, never a leftover."""

import threading
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any

import torch
from torch.nn import functional

from corarec.backbone.last_position import is_narrow
from corarec.errors import ConfigError, DataError


class Increment:
    """All that the adapted layers need to know about the pairs of one forward pass.

    Parameters
    ----------
    matrices
        Input width of a layer -> `A: [B, width, r]`.
    scale
        `alpha / r`.
    dropout
        Share of the branch's input that is dropped in training.
    active
        `[B, T]` bool, the tokens that get the increment; None for all.
    repeats
        Whether a row of the batch may stand for one of several beams of a pair, pair by pair.
    """

    def __init__(
        self,
        matrices: dict[int, torch.Tensor],
        scale: float,
        dropout: float = 0.0,
        active: torch.Tensor | None = None,
        repeats: bool = False,
    ) -> None:
        self.matrices = matrices
        self.scale = scale
        self.dropout = dropout
        self.active = active
        self.repeats = repeats
        self.called: set[str] = set()
        """Layers that were called in this pass, as far as it was not compiled."""
        self.read: set[str] = set()
        """Layers whose weight the model asked for itself."""
        self._prepared: dict[Any, torch.Tensor] = {}

    def reduce(self, x: torch.Tensor, training: bool, name: str = "a layer") -> torch.Tensor:
        """Return `alpha / r * x A: [B, T, r]` for the input `x: [B, T, width]` of the layer `name`.

        Latent attention keeps a place for one head: [B, 1, T, width] gives [B, 1, T, r].

        Raises
        ------
        ConfigError
            `x` has other dimensions.
        DataError
            The rows or tokens of `x` are not those that the CF vectors were given for.
        """
        if x.dim() == 4 and x.shape[1] == 1:
            return self.reduce(x.squeeze(1), training, name).unsqueeze(1)
        if x.dim() != 3:
            raise ConfigError(
                f"{name} gets an input of the shape {list(x.shape)}, but CoRA adapts layers that "
                "read [B, T, width], so that each row meets the matrix of its own pair. Leave this "
                "layer out of `layers` or its role out of `target_modules`."
            )
        reduced = functional.dropout(x, self.dropout, training) @ self._matrix(x, name)
        active = self.active
        if active is None:
            return reduced
        if is_narrow() and x.shape[1] == 1:
            active = active[:, -1:]
        if active.shape != x.shape[:2]:
            raise DataError(
                f"`cf_active` has the shape {list(active.shape)}, but the batch has "
                f"{x.shape[0]} rows of {x.shape[1]} tokens where it reaches {name}. Give one bool "
                "for each token."
            )
        return reduced * active.to(x.device).unsqueeze(-1)

    def _matrix(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """Return `alpha / r * A` in the rows, the type and the place of `x`, made once for each.

        And once for each gradient mode: what was made under `no_grad` leads no gradient back.
        """
        key = (x.shape[-1], x.shape[0], x.dtype, x.device, *_gradient_mode())
        if key not in self._prepared:
            matrix = (self.matrices[x.shape[-1]] * self.scale).to(x.device, x.dtype)
            pairs = len(matrix)
            if self.repeats and x.shape[0] % pairs == 0:
                matrix = matrix.repeat_interleave(x.shape[0] // pairs, dim=0)
            if len(matrix) != x.shape[0]:
                raise DataError(
                    f"`cf_vectors` has {pairs} rows, but the batch reaches {name} in the shape "
                    f"{list(x.shape)}. Give one row of CF vectors for each row of the batch; if "
                    "there is one, leave out this layer, which reads something else."
                )
            self._prepared[key] = matrix
        return self._prepared[key]


class Binding(threading.local):
    """Holds the increment of the forward pass that this thread is in; shared by all layers."""

    increment: Increment | None = None
    enabled: bool = True
    """Whether the adapter is on, in this thread."""
    _last: tuple[torch.Tensor, tuple[Any, ...], torch.Tensor] | None = None

    def scope(self, increment: Increment | None) -> "Scope":
        """Bind `increment` inside a `with` block."""
        return Scope(self, increment, self.enabled)

    def reduce(self, x: torch.Tensor, training: bool, name: str = "a layer") -> torch.Tensor:
        """Return `alpha / r * x A`, computed once for layers that read the same `x` in turn.

        Raises
        ------
        DataError
            No increment is bound.
        """
        if self.increment is None:
            raise DataError(
                "The CoRA adapter is on, but no CF vectors came with the batch. Pass "
                "`cf_vectors` ([B, 2d]: user vector, item vector) to the forward or `generate` "
                "call of the PEFT model, or run the frozen model inside "
                "`with model.disable_adapter():`."
            )
        if not torch.compiler.is_compiling():
            self.increment.called.add(name)
        # Compared by identity while a reference is held, so no other tensor can take its place.
        mode = (training, _version(x), *_gradient_mode(), *_autocast_mode(x.device.type))
        if self._last is None or self._last[0] is not x or self._last[1] != mode:
            self._last = (x, mode, self.increment.reduce(x, training, name))
        return self._last[2]

    def checkpoint_contexts(
        self,
    ) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """Return contexts for a checkpointed block's forward pass and for its recomputation."""
        return nullcontext(), self.scope(self.increment)

    def __reduce__(self) -> tuple[type["Binding"], tuple[()]]:
        # A copy of the model starts with nothing bound.
        return Binding, ()


class Scope:
    """Context manager of `Binding.scope`; can be entered again once left, in any thread.

    It also sets whether the adapter is on: a block may be recomputed in another thread than its
    forward pass ran in, and after the adapter was switched.
    """

    def __init__(self, binding: Binding, increment: Increment | None, enabled: bool) -> None:
        self._binding = binding
        self._increment = increment
        self._enabled = enabled
        self._outer: Increment | None = None
        self._outer_enabled = True

    def __enter__(self) -> None:
        self._outer, self._outer_enabled = self._binding.increment, self._binding.enabled
        self._switch(self._increment, self._enabled)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._switch(self._outer, self._outer_enabled)
        self._outer = None

    def _switch(self, increment: Increment | None, enabled: bool) -> None:
        self._binding.increment = increment
        self._binding.enabled = enabled
        self._binding._last = None


def _version(x: torch.Tensor) -> int:
    """Return how often `x` was changed in place, as far as torch counts it."""
    return 0 if torch.compiler.is_compiling() or x.is_inference() else x._version


def _gradient_mode() -> tuple[bool, bool]:
    # Asking for the inference mode would cut a compiled block in two at every adapted layer.
    inference = not torch.compiler.is_compiling() and torch.is_inference_mode_enabled()
    return torch.is_grad_enabled(), inference


def _autocast_mode(device: str) -> tuple[Any, ...]:
    enabled = torch.is_autocast_enabled(device)
    return enabled, torch.get_autocast_dtype(device) if enabled else None
