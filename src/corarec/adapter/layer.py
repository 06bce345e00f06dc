"""An adapted linear layer: the frozen one, and the increment of the pair."""

from collections.abc import Callable
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from torch.nn import functional
from transformers.pytorch_utils import Conv1D

from corarec.adapter.binding import Binding
from corarec.adapter.targets import Target
from corarec.errors import ConfigError


class Projection(nn.Module):
    """`P: r -> O` of one weight, zero at first, on all output rows of the layer or on some."""

    rows: torch.Tensor | None

    def __init__(self, rank: int, target: Target) -> None:
        super().__init__()
        count = target.out_features if target.rows is None else len(target.rows)
        self.weight = nn.Parameter(torch.zeros(count, rank))
        self.register_buffer("rows", target.rows, persistent=False)

    def forward(self, frozen: torch.Tensor, reduced: torch.Tensor) -> torch.Tensor:
        """Return `frozen: [..., O]` plus the increment from `reduced: [..., r]`."""
        weight, reduced = self.weight.to(frozen.dtype), reduced.to(frozen.dtype)
        if self.rows is not None:
            return frozen.index_add(-1, self.rows, functional.linear(reduced, weight))
        # Product and sum in one pass over the output, which is what this branch costs most.
        y = torch.addmm(frozen.flatten(0, -2), reduced.flatten(0, -2), weight.T)
        return y.view_as(frozen)

    def on_all_rows(self, count: int) -> torch.Tensor:
        """Return `P: [count, r]` of a layer with `count` output rows, zero where it has none.

        A copy in float32 on the CPU.
        """
        weight = self.weight.detach().float().cpu()
        if self.rows is None:
            return weight.clone()
        return torch.zeros(count, weight.shape[1]).index_copy_(0, self.rows.cpu(), weight)

    def added_to(self, weight: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
        """Return `weight: [O, width]` plus `P A^T` for one `A: [width, r]` (paper, Eq. 4 and 5)."""
        wide = torch.promote_types(weight.dtype, torch.float32)
        increment = self.weight.to(wide) @ matrix.to(wide).T
        if self.rows is None:
            return (weight.to(wide) + increment).to(weight.dtype)
        return weight.to(wide).index_add(0, self.rows, increment).to(weight.dtype)


class CoraLayer(nn.Module, BaseTunerLayer):
    """`y = W x + alpha / r * P (x A)`, with the `A` that is bound while the model runs."""

    adapter_layer_names = ("cora_projection",)

    # Of PEFT's base class, which is not typed.
    active_adapters: list[str]
    merged: bool
    enable_adapters: Callable[[bool], None]
    get_base_layer: Callable[[], nn.Module]
    set_adapter: Callable[..., None]
    _disable_adapters: bool
    _move_adapter_to_device_of_base_layer: Callable[[str], None]

    def __init__(self, base_layer: nn.Module, target: Target, binding: Binding) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.name = target.name
        self.in_features = target.in_features
        self.out_features = target.out_features
        self.binding = binding
        self.cora_projection = nn.ModuleDict()
        self.merged_adapters: list[str] = []
        # In a tuple, or it would be registered as a second weight.
        self._frozen: tuple[nn.Parameter] | None = None

    @property
    def disable_adapters(self) -> bool:
        """Whether the layer is the frozen one, in this thread."""
        return self._disable_adapters or not self.binding.enabled

    @property
    def weight(self) -> torch.Tensor:
        """The frozen weight; noted where the model asks for it instead of calling the layer."""
        increment = self.binding.increment
        if increment is not None and not torch.compiler.is_compiling():
            increment.read.add(self.name)
        weight: torch.Tensor = super().weight
        return weight

    def add_adapter(self, adapter_name: str, rank: int, target: Target) -> None:
        """Give the adapter a `P` on this layer."""
        self.cora_projection[adapter_name] = Projection(rank, target)
        self._move_adapter_to_device_of_base_layer(adapter_name)

    def forward(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Map `x: [B, T, width]` to `[B, T, O]`."""
        if self.disable_adapters and self._frozen is not None:
            # Another thread may be using the merged weight.
            return self._as_frozen(x, self._frozen[0])
        y: torch.Tensor = self.base_layer(x, *args, **kwargs)
        if self.disable_adapters or self.merged:
            return y
        for adapter_name in self.active_adapters:
            if adapter_name in self.cora_projection:
                projection = self.cora_projection[adapter_name]
                y = projection(y, self.binding.reduce(x, self.training, self.name))
        return y

    def _as_frozen(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Return the frozen output while a pair is merged, without touching the merged weight."""
        base = self.get_base_layer()
        bias = base._parameters["bias"]
        if isinstance(base, Conv1D):
            assert bias is not None
            return torch.addmm(bias, x.flatten(0, -2), weight).view(*x.shape[:-1], -1)
        return functional.linear(x, weight, bias)

    def merge_matrix(self, adapter_name: str, matrix: torch.Tensor) -> None:
        """Add `P A^T` to the frozen weight; `matrix` is `alpha / r * A: [width, r]` of one pair.

        Raises
        ------
        ConfigError
            The frozen weight is quantised.
        """
        if adapter_name not in self.cora_projection:
            return
        base = self.get_base_layer()
        frozen = base._parameters.get("weight")
        if not isinstance(base, nn.Linear | Conv1D) or not is_plain(frozen):
            raise ConfigError(
                f"{self.name} is a {type(base).__name__} whose weight is not stored as plain "
                "floating-point numbers in memory, so no increment can be merged into it. "
                "Pass `cf_vectors` instead, or load the backbone without quantisation, "
                "parametrisation and offloading."
            )
        assert frozen is not None
        projection = self.cora_projection[adapter_name]
        assert isinstance(projection, Projection)
        data, transposed = frozen.data, isinstance(base, Conv1D)
        merged = projection.added_to(data.T if transposed else data, matrix.to(data.device))
        # A parameter of its own: other layers may hold the frozen one, too, which is kept whole and
        # not recovered by subtraction, so that unmerging is exact.
        base.weight = nn.Parameter(
            merged.T.contiguous() if transposed else merged, requires_grad=frozen.requires_grad
        )
        self._frozen = (frozen,)
        self.merged_adapters = [adapter_name]

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> None:
        """Refuse PEFT's general merge, which knows no pair."""
        raise ConfigError(
            "CoRA's increment belongs to one pair of a user and an item, so there is none to merge "
            "for all of them. Use `merge_pair(cf_vectors)`, and after it `unload()` for a "
            "standalone model."
        )

    def unmerge(self) -> None:
        """Put the frozen weight back, bit for bit, wherever the model has been moved since."""
        if self._frozen is not None:
            (frozen,) = self._frozen
            base = self.get_base_layer()
            now = base._parameters["weight"]
            assert now is not None
            frozen.data = frozen.data.to(now.device, now.dtype)
            base.weight = frozen
        self._frozen = None
        self.merged_adapters = []

    @property
    def frozen_weight(self) -> nn.Parameter | None:
        """The weight that the merged one stands in for; None while nothing is merged."""
        return self._frozen[0] if self._frozen else None


_PLAIN = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
"""Types of weights that can be added to; 8-bit floats have scales beside them."""


def is_plain(weight: nn.Parameter | None) -> bool:
    """Whether a weight is stored as plain floating-point numbers in memory."""
    return weight is not None and weight.dtype in _PLAIN and not weight.is_meta
