"""Matrix factorisation whose vectors are bits (BinLLM, arXiv 2406.03210)."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import nn

from corarec.cf.data import FitData
from corarec.cf.factors.config import FactorsConfig
from corarec.cf.factors.folding import Prior
from corarec.cf.factors.folding_tables import FoldingTable
from corarec.cf.report import FitCourse, OnEpoch
from corarec.cf.training.checkpoint import Checkpointer
from corarec.cf.training.network import Inputs, PointwiseNetwork, start_embedding, zero_embedding
from corarec.cf.training.pointwise import fit_pointwise
from corarec.types import Config, FloatArray, IntArray, Pairs


class BinaryMFConfig(FactorsConfig):
    """Matrix factorisation of bits; the defaults are the authors' on ML-1M."""

    embedding_size: int = Field(default=32, gt=0)
    """Bits of a user's and of an item's code."""
    weight_decay: float = Field(default=1e-3, ge=0)
    """Adam's L2 penalty."""
    patience: int = Field(default=100, gt=0)
    """Stop after this many epochs without a better validation AUC."""
    annealing: float = Field(default=0.001, ge=0, le=1)
    """Every second epoch the probability that a number is taken as its sign grows by this; it
    begins at 0. The authors: 0.001 on ML-1M, 0.02 on Amazon-Book."""
    init_std: float = Field(default=0.1, gt=0)
    """Standard deviation of the embeddings' start values."""


class BinaryMF(FoldingTable):
    """Codes of +1 and -1: an embedding through a linear layer, tanh and the sign.

    Users and items have a linear layer each. In training each number is its sign with a
    probability that grows from 0, else its tanh; codes and validation take signs alone, the sign
    of 0 being +1. The score is the dot product of the codes.

    A user or item that never occurs in training has the zero vector, as everywhere; its code,
    which is the sign of the layer's bias, is shared by all such and stands in `codes` and in the
    score.

    A user is folded in as real numbers, under the spread of the fitted codes; their signs are the
    code.
    """

    name: ClassVar[str] = "binary-mf"
    config_class: ClassVar[type[Config]] = BinaryMFConfig

    def __init__(self, config: BinaryMFConfig) -> None:
        super().__init__(config)
        self._options = config
        self._unknown = torch.zeros(0)

    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Train with Adam; an interrupted fit resumes from `checkpoint`."""
        generator = torch.Generator().manual_seed(seed)
        network = _BinaryNetwork(data, self._options, generator)
        checkpointer = Checkpointer.of(checkpoint, self.config, seed, data)
        course = fit_pointwise(network, data, self._options, generator, checkpointer, on_epoch)
        self.set_tables(
            network.table(network.users, network.user_layer),
            network.table(network.items, network.item_layer),
        )
        layers = network.user_layer, network.item_layer
        self._unknown = torch.stack([_signs(layer.bias.detach()) for layer in layers])
        self.measure_firmness(data)
        return course

    def codes(self, pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the codes of the pairs' users and items, +1 and -1: two of [N, bits]."""
        users, items = (
            torch.where(codes.any(dim=1, keepdim=True), codes, unknown)
            for codes, unknown in zip(self.halves(pairs), self._unknown, strict=True)
        )
        return users, items

    def score(self, pairs: Pairs) -> FloatArray:
        """Return the dot product of the codes: [N] logits."""
        users, items = self.codes(pairs)
        return (users * items).sum(1).double().numpy()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return both tables and the codes of unknown users and items."""
        return super().tensors() | {"unknown": self._unknown}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over both tables and the codes of the unknown."""
        unknown = tensors["unknown"]
        if unknown.shape != (2, tensors["users"].shape[1]):
            raise ValueError(f"codes of the unknown have the shape {tuple(unknown.shape)}")
        super().restore(tensors)
        self._unknown = unknown

    @cached_property
    def plain_prior(self) -> Prior:
        """Where users are expected before any row."""
        return Prior.of(self._fitted_unknowns)

    def new_item(self, users: FloatArray, labels: IntArray) -> torch.Tensor:
        """Return the signs."""
        return _signs(super().new_item(users, labels))

    def vector(self, solution: FloatArray) -> FloatArray:
        """Return the signs."""
        return np.where(solution >= 0, 1.0, -1.0)


class _BinaryNetwork(PointwiseNetwork):
    def __init__(self, data: FitData, config: BinaryMFConfig, generator: torch.Generator) -> None:
        super().__init__()
        size = config.embedding_size
        self.users = zero_embedding(data.num_users + 1, size)
        self.items = zero_embedding(data.num_items + 1, size)
        start_embedding(self.users, data.train.user_ids, config.init_std, generator)
        start_embedding(self.items, data.train.item_ids, config.init_std, generator)
        self.user_layer, self.item_layer = (_layer(size, generator) for _ in range(2))
        self._annealing = config.annealing
        self._generator = generator
        self._sign_probability = 0.0

    def begin_epoch(self, epoch: int) -> None:
        self._sign_probability = min(1.0, (epoch - 1) // 2 * self._annealing)

    def batcher(self, pairs: Pairs) -> Callable[[torch.Tensor], Inputs]:
        users, items = torch.from_numpy(pairs.user_ids), torch.from_numpy(pairs.item_ids)
        return lambda rows: (users[rows], items[rows])

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        users = self._code(self.user_layer(self.users(inputs[0])))
        items = self._code(self.item_layer(self.items(inputs[1])))
        return (users * items).sum(1)

    @torch.no_grad()
    def table(self, embedding: nn.Embedding, layer: nn.Linear) -> torch.Tensor:
        """Return the code of every id, zeros for the never trained: [ids + 1, bits]."""
        trained = embedding.weight.any(dim=1, keepdim=True)
        return _signs(layer(embedding.weight)) * trained

    def _code(self, values: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return _signs(values)
        draw = torch.rand(values.shape, generator=self._generator)
        return torch.where(draw < self._sign_probability, _signs(values), values.tanh())


def _layer(size: int, generator: torch.Generator) -> nn.Linear:
    """Return a linear layer with PyTorch's default start values, drawn from `generator`."""
    layer = nn.utils.skip_init(nn.Linear, size, size)
    bound = size**-0.5
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer


def _signs(values: torch.Tensor) -> torch.Tensor:
    """Return +1 where a number is not negative, else -1."""
    return torch.where(values >= 0, 1.0, -1.0)
