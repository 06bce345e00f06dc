"""Networks that give a logit per pair, and embeddings in which the unknown stays zero."""

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from corarec.arrays import distinct
from corarec.types import FloatArray, IntArray, Pairs

Inputs = tuple[torch.Tensor, ...]


class PointwiseNetwork(nn.Module, ABC):
    """A network that gives a logit per pair.

    Embedding rows that never occur in training start at zero and so stay at zero: neither the loss
    nor the weight decay moves them (see `start_embedding`).
    """

    @abstractmethod
    def batcher(self, pairs: Pairs) -> Callable[[torch.Tensor], Inputs]:
        """Return a function from row numbers [B] to the arguments of `forward`."""

    @abstractmethod
    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits: [B]."""

    def settled(self) -> Callable[..., torch.Tensor]:
        """Return what gives the logits of many batches while the weights stay as they are."""
        return self

    def begin_epoch(self, epoch: int) -> None:
        """Hear which epoch begins, counted from 1."""

    def row_groups(self, pairs: Pairs) -> IntArray:
        """Return a group per row [N]; the shuffle keeps the rows of a group together."""
        return np.arange(len(pairs))


@torch.inference_mode()
def predict(network: PointwiseNetwork, pairs: Pairs, batch_size: int = 16384) -> FloatArray:
    """Return the network's logits with dropout off: [N]."""
    network.eval()
    batch = network.batcher(pairs)
    logits = network.settled()
    scores = [logits(*batch(rows)) for rows in torch.arange(len(pairs)).split(batch_size)]
    return torch.cat(scores).numpy().astype(np.float64)


def zero_embedding(rows: int, size: int) -> nn.Embedding:
    """Return an embedding of zeros; unlike the plain constructor it draws nothing."""
    return nn.Embedding.from_pretrained(torch.zeros(rows, size), freeze=False)


def start_embedding(
    embedding: nn.Embedding, seen: IntArray, std: float, generator: torch.Generator
) -> None:
    """Draw normal start values for the rows in `seen`; all other rows are zero."""
    with torch.no_grad():
        rows = torch.from_numpy(distinct(seen))
        embedding.weight.zero_()
        embedding.weight[rows] = std * torch.randn(
            len(rows), embedding.embedding_dim, generator=generator
        )
