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


@contextmanager
def precise_answers(model: Any, tokens: Sequence[int]) -> Iterator[None]:
    """Let `model` compute the logits of `tokens` in float32 within the block.

    What the model does to its logits afterwards (a scale, a soft cap) then happens in float32, too.
    Nothing changes where the output layer is no plain linear one, gives float32 already, or gives
    something else than the product with its weight. The other logits get no gradient.
    """
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear or head.weight.is_meta or not head.weight.is_floating_point():
        yield
        return
    rows = torch.tensor(sorted(set(tokens)))

    def refine(_: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor | None:
        if not inputs or output.dtype not in (torch.bfloat16, torch.float16):
            return None
        index = rows.to(output.device)
        bias = None if head.bias is None else head.bias[index].float()
        with torch.autocast(output.device.type, enabled=False):
            hidden = inputs[0].to(output.device).float()
            exact = functional.linear(hidden, head.weight[index].float(), bias)
        rough = output.detach().float()
        distance = (rough[..., index] - exact).abs().max()
        if not distance <= CLOSE * rough.abs().max():
            return None
        return rough.index_copy(-1, index, exact)

    handle = head.register_forward_hook(refine)
    try:
        yield
    finally:
        handle.remove()
