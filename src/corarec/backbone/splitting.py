"""A batch of prompts cut in two: beginnings that rows may have in common, and what follows."""

from dataclasses import dataclass

import torch

WORTHWHILE = 11 / 12
"""Of so many rows, more distinct prefixes stay with their rows: handing them out costs more than
reading a few twice."""


@dataclass(frozen=True)
class SplitPrompts:
    """Prompts as prefixes, which rows may have in common, and a suffix for every row."""

    prefix_ids: torch.Tensor
    """[G, P] int64, padded on the right: a causal model then reads them right without any mask"""
    rows: torch.Tensor
    """[B] int64, the prefix of each row"""
    suffix_ids: torch.Tensor
    """[B, S] int64, padded on the left, so that the last token of a prompt is always at the end"""
    position_ids: torch.Tensor
    """[B, S] int64, places of the suffix's tokens in their prompts"""
    visible: torch.Tensor
    """[B, S, P + S] bool, the tokens of prefix and suffix that a token of the suffix attends to"""

    @property
    def length(self) -> int:
        """The most tokens that a prompt of the batch could have."""
        return self.visible.shape[2]


def split_prompts(
    input_ids: torch.Tensor, attention_mask: torch.Tensor, starts: torch.Tensor
) -> SplitPrompts | None:
    """Cut each row before its token at `starts`; None where no row has a token there before.

    Parameters
    ----------
    input_ids, attention_mask
        [B, T] prompts, padded on the left.
    starts
        [B] place in the padded row of the first token of the suffix.
    """
    width = input_ids.shape[1]
    padding = width - attention_mask.sum(dim=1)
    sizes = starts - padding
    longest = int(sizes.max())
    if longest <= 0:
        return None
    # -1 is no token, so that prompts that hold the padding token stay apart.
    places = torch.arange(longest, device=input_ids.device)
    taken = input_ids.gather(1, (padding[:, None] + places).clamp(max=width - 1))
    taken = taken.where(places < sizes[:, None], -1)
    prefixes, rows = torch.unique(taken, dim=0, return_inverse=True)
    if len(prefixes) > WORTHWHILE * len(taken):
        prefixes, rows = taken, torch.arange(len(taken), device=taken.device)
    suffix_width = int(width - starts.min())
    suffix_ids = input_ids[:, width - suffix_width :]
    after = torch.arange(width - suffix_width, width, device=input_ids.device)
    own = after >= starts[:, None]
    position_ids = (after - padding[:, None]).where(own, sizes[:, None])
    causal = torch.ones(suffix_width, suffix_width, dtype=torch.bool, device=own.device).tril()
    before = (places < sizes[:, None])[:, None].expand(-1, suffix_width, -1)
    visible = torch.cat([before, causal & own[:, None]], dim=2)
    return SplitPrompts(prefixes.clamp(min=0), rows, suffix_ids, position_ids, visible)
