"""The last projection onto the answer tokens in float32, where the model's own is 16-bit.

A 16-bit logit near 10 has steps of 1/16, so that thousands of pairs would share a few scores.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional

CLOSE = 0.05
"""How far, relative to the largest of them, 16-bit logits may lie from those of float32."""


class AnswerHead:
    """The output layer of a model, as far as it makes the logits of the answers.

    Parameters
    ----------
    tokens
        The answer tokens.
    """

    def __init__(self, tokens: Sequence[int]) -> None:
        self.rows = torch.tensor(sorted(set(tokens)))
        self._trusted: tuple[Any, ...] = ()

    @contextmanager
    def precise(self, model: Any) -> Iterator[None]:
        """Let `model` compute the logits of the answers in float32 within the block.

        What the model does to its logits afterwards (a scale, a soft cap) then happens in float32,
        too. Nothing changes where the output layer is no plain linear one, gives float32 already,
        or gives something else than the product with its weight; that it does not is seen once, and
        again whenever the layer, its weight, its hooks or the type of its output are others. The
        other logits get no gradient.
        """
        head = model.get_output_embeddings()
        if (
            type(head) is not nn.Linear
            or head.weight.is_meta
            or not head.weight.is_floating_point()
        ):
            yield
            return
        handle = head.register_forward_hook(self._refine)
        try:
            yield
        finally:
            handle.remove()

    def _refine(self, head: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
        if not inputs or output.dtype not in (torch.bfloat16, torch.float16):
            return None
        assert isinstance(head, nn.Linear)
        index = self.rows.to(output.device)
        bias = None if head.bias is None else head.bias[index].float()
        with torch.autocast(output.device.type, enabled=False):
            hidden = inputs[0].to(output.device).float()
            exact = functional.linear(hidden, head.weight[index].float(), bias)
        rough = output.detach().float()
        if not self._is_trusted(head, output):
            distance = (rough[..., index] - exact).abs().max()
            if not distance <= CLOSE * rough.abs().max():
                return None
            self._trusted = _circumstances(head, output)
        return rough.index_copy(-1, index, exact)

    def _is_trusted(self, head: nn.Linear, output: torch.Tensor) -> bool:
        now = _circumstances(head, output)
        return len(now) == len(self._trusted) and all(
            old is new or (isinstance(new, str) and old == new)
            for old, new in zip(self._trusted, now, strict=True)
        )


def _circumstances(head: nn.Linear, output: torch.Tensor) -> tuple[Any, ...]:
    """Return all that decides how the layer computes: objects, and the rest as text.

    Hooks of this module, of which threads may have several at work, are not among them.
    """
    hooks = (*head._forward_pre_hooks.values(), *head._forward_hooks.values())
    others = (hook for hook in hooks if not isinstance(getattr(hook, "__self__", None), AnswerHead))
    description = f"{output.dtype} {output.device} {output.shape[-1]} {head.weight.dtype}"
    return (head, head.weight, head.bias, head.__dict__.get("forward"), description, *others)
