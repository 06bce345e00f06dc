"""What every system of the benchmark is: pairs in, logits out."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn

from corarec.errors import TrainingError
from corarec.types import FloatArray, IntArray, Pairs

Batch = dict[str, torch.Tensor]
SCORING_BATCH_SIZE = 64


class PairInputs(Protocol):
    """A table of pairs, ready to be cut into batches for one system."""

    lengths: IntArray
    """[N] how long each pair is, in any unit, so that like can be batched with like."""

    def __len__(self) -> int:
        """Return the number of pairs."""

    def batch(self, rows: IntArray) -> Batch:
        """Return the tensors of the pairs at `rows`, padded to the longest of them."""


class Recommender(nn.Module, ABC):
    """A system that predicts whether users enjoy items.

    It knows neither its metric nor its trainer. `forward` is differentiable; only parameters with
    `requires_grad` are trained, and only they are saved.
    """

    @abstractmethod
    def inputs(self, pairs: Pairs) -> PairInputs:
        """Gather whatever the system needs to know of `pairs`."""

    @abstractmethod
    def forward(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logit of "the user enjoys the item": [B]."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the trained parameters, and nothing of the frozen model, into `folder`."""

    @abstractmethod
    def load(self, folder: Path) -> None:
        """Read what `save` wrote.

        Raises
        ------
        ArtifactError
            The folder is damaged or belongs to another model.
        """

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def trainable_parameters(self) -> int:
        """Return how many numbers training may change."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def score(
        self,
        pairs: Pairs,
        *,
        batch_size: int = SCORING_BATCH_SIZE,
        progress: Callable[[int], None] | None = None,
    ) -> FloatArray:
        """Return the logits of `pairs` in evaluation mode: [N].

        Pairs of like length share a batch, so that little padding is computed; the order of the
        result is that of `pairs`. `progress` is called with the number of pairs just scored.

        Raises
        ------
        TrainingError
            A score is not a finite number.
        """
        inputs = self.inputs(pairs)
        order = np.argsort(inputs.lengths, kind="stable")[::-1]
        scores = np.empty(len(inputs), dtype=np.float64)
        was_training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                for first in range(0, len(order), batch_size):
                    rows = order[first : first + batch_size]
                    batch = {k: v.to(self.device) for k, v in inputs.batch(rows).items()}
                    scores[rows] = self(**batch).float().cpu().numpy()
                    if progress is not None:
                        progress(len(rows))
        finally:
            self.train(was_training)
        if not np.isfinite(scores).all():
            bad = int(np.flatnonzero(~np.isfinite(scores))[0])
            raise TrainingError(
                f"{type(self).__name__} gave {scores[bad]} for pair {bad} (user "
                f"{pairs.user_ids[bad]}, item {pairs.item_ids[bad]}), where a finite logit was "
                "wanted. Lower the learning rate, or run in float32 if this is a 16-bit overflow."
            )
        return scores
