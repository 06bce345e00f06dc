"""From CF vectors to the input `e` of the generator, and what may be done to them on the way."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
import torch
from pydantic import Field
from torch import nn

from corarec.cf.vectors import VectorFamily, VectorTable, inverse_rms
from corarec.errors import ConfigError
from corarec.recommenders.llm import PromptInputs
from corarec.score.batches import Batch
from corarec.types import Config, FloatArray, IntArray, Pairs

SCALED_PAIRS = 10_000
"""Pairs that set the scale of the products."""


class PairSource(Protocol):
    """What a system reads of a CF model."""

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of every pair."""

    def score(self, pairs: Pairs) -> FloatArray:
        """Return the model's own logits: [N]."""


class VectorInputConfig(Config):
    """What happens to CF vectors before the generator reads them."""

    normalise: Literal["none", "rms"] = "rms"
    """`rms`: each half is divided by the root mean square of its numbers over the known vectors of
    the training pairs, since CF models differ in scale by orders of magnitude. One number per half,
    so that what a CF model weighs lightly stays light. `none`: as they are (the authors' code)."""
    product: bool = False
    """A variant of ours: each half also carries the elementwise product of the two vectors, which
    sums to the CF model's own score. A generator takes many thousand steps to learn to multiply.
    For CF models whose vectors do not know the training labels by heart."""
    drop_half: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability, in training, that a pair's user half or item half (each with half of it) is
    zeroed: teaches the cold case and makes leaning on memorised vectors costly."""
    drop_families: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Probability, in training, that a family of the numbers in a pair's vectors is zeroed, each
    for itself: the families of `statistics`, the components of `fused`. Zero is the mean over the
    training rows, or no evidence, so that no family alone is leant on."""
    shuffle_users: int | None = None
    """A control: give every known user another user's vector, by this seed."""


class VectorInput(nn.Module):
    """`e = concat(user vector, item vector)` of each pair (paper, equation 1).

    Unknown users and items have zeros before and after. Where a CF model says something of user and
    item together (`match_size` numbers), each half carries half of that; dropping either half in
    training drops all of it.

    Parameters
    ----------
    families
        What the vectors are made up of, for `drop_families`.
    """

    user_scale: torch.Tensor
    item_scale: torch.Tensor
    product_scale: torch.Tensor
    match_scale: torch.Tensor

    def __init__(
        self,
        drop_half: float = 0.0,
        product: bool = False,
        match_size: int = 0,
        drop_families: float = 0.0,
        families: Sequence[VectorFamily] = (),
    ) -> None:
        super().__init__()
        if drop_families > 0 and len(families) < 2:
            raise ConfigError(
                "system.vectors.drop_families zeroes one family of a CF model's numbers or "
                f"another, and this model's vectors have {len(families) or 'none'}. Take the CF "
                "model statistics or fused, or set drop_families to 0."
            )
        self.drop_families = drop_families
        self.families = tuple(families)
        self.drop_half = drop_half
        self.product = product
        self.match_size = match_size
        scales = ["user_scale", "item_scale", "product_scale"]
        if match_size:
            scales.append("match_scale")
        for name in scales:
            self.register_buffer(name, torch.ones(()))

    def half_size(self, vector_size: int) -> int:
        """Return the size of one half of `e` for CF vectors of `d = vector_size`."""
        own = 2 * vector_size if self.product else vector_size
        return own + (self.match_size + 1) // 2

    def fit_scale(self, table: VectorTable) -> None:
        """Take the scales from the vectors of the training pairs."""
        self.user_scale.copy_(inverse_rms(table.users))
        self.item_scale.copy_(inverse_rms(table.items))
        if self.product:
            step = max(1, len(table) // SCALED_PAIRS)
            users, items = table.lookup(np.arange(0, len(table), step))
            self.product_scale.copy_(inverse_rms(users * self.user_scale * items * self.item_scale))
        if table.matches is not None:
            self.match_scale.copy_(inverse_rms(table.matches))

    def forward(
        self, users: torch.Tensor, items: torch.Tensor, matches: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map user and item vectors, two of [B, d], to `e`: [B, 2d], or [B, 4d] with products.

        With `matches: [B, p]` it is wider by `p`, or by `p + 1` where that is odd.
        """
        users, items = users * self.user_scale, items * self.item_scale
        if matches is not None:
            matches = matches * self.match_scale
        if self.training and self.drop_families > 0:
            kept = torch.rand(len(users), len(self.families), device=users.device)
            kept = (kept >= self.drop_families).to(users.dtype)
            users = users * self._kept(kept, "user", users.shape[1])
            items = items * self._kept(kept, "item", items.shape[1])
            if matches is not None:
                matches = matches * self._kept(kept, "match", matches.shape[1])
        if self.training and self.drop_half > 0:
            draw = torch.rand(len(users), 1, device=users.device)
            users = users * (draw >= self.drop_half / 2)
            items = items * ((draw < self.drop_half / 2) | (draw >= self.drop_half))
            if matches is not None:
                matches = matches * (draw >= self.drop_half)
        halves = [users], [items]
        if self.product:
            product = users * items * self.product_scale
            halves = [users, product], [items, product]
        if matches is not None:
            if self.match_size % 2:
                matches = torch.nn.functional.pad(matches, (0, 1))
            for half, part in zip(halves, matches.chunk(2, dim=1), strict=True):
                half.append(part)
        return torch.cat([*halves[0], *halves[1]], dim=1)

    def _kept(self, families: torch.Tensor, side: str, width: int) -> torch.Tensor:
        """Return which numbers of a side stay: [B, width], by families [B, F] of 0 and 1."""
        of_family = torch.full((width,), len(self.families), device=families.device)
        for number, family in enumerate(self.families):
            of_family[list(getattr(family, side))] = number
        always = families.new_ones(len(families), 1)
        return torch.cat([families, always], dim=1)[:, of_family]


@dataclass
class VectorPromptInputs(PromptInputs):
    """Prompts beside the CF vectors of their pairs."""

    table: VectorTable | None = None
    """The vectors; needed."""
    scores: FloatArray | None = None
    """[N] the CF model's own, where they are asked for."""

    def batch(self, rows: IntArray) -> Batch:
        """Add `user_vectors` and `item_vectors`, both [B, d], to the prompts.

        Where the CF model has them, also `match_vectors` [B, p]; with scores `cf_scores` [B].
        """
        assert self.table is not None
        users, items = self.table.lookup(rows)
        batch = {**super().batch(rows), "user_vectors": users, "item_vectors": items}
        if self.table.matches is not None:
            batch["match_vectors"] = self.table.matches[torch.from_numpy(rows.copy())]
        if self.scores is not None:
            batch["cf_scores"] = torch.from_numpy(self.scores[rows]).float()
        return batch
