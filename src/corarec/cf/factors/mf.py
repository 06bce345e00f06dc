"""Matrix factorisation (Rendle et al. 2009), trained pointwise, without and with biases."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import nn

from corarec.arrays import distinct
from corarec.cf.data import FitData
from corarec.cf.factors.config import FactorsConfig
from corarec.cf.factors.folding import Prior, Rows, solved
from corarec.cf.factors.folding_tables import FoldingTable
from corarec.cf.report import FitCourse, OnEpoch
from corarec.cf.training.checkpoint import Checkpointer
from corarec.cf.training.network import Inputs, PointwiseNetwork, start_embedding, zero_embedding
from corarec.cf.training.pointwise import fit_pointwise
from corarec.cf.vectors import biased_product
from corarec.types import Config, FloatArray, IntArray, Pairs


class MFConfig(FactorsConfig):
    """Matrix factorisation: `score = p . q`."""

    biases: bool = False
    """Add a global mean, a user bias and an item bias to the score."""
    init_std: float = Field(default=0.1, gt=0)
    """Standard deviation of the embeddings' start values. With 1, the start is noise that takes
    longer to decay than the patience lasts: on ML-1M some seeds then stop at chance."""


class MF(FoldingTable):
    """Matrix factorisation.

    Without biases the vectors are the embeddings, `d = embedding_size`, and the score is their dot
    product. With biases the vectors are `p' = [p, b_u, 1]` and `q' = [q, 1, b_i]`, so that
    `d = embedding_size + 2` and `p' . q' = p . q + b_u + b_i` is the score without the global mean.
    The vector of an unknown user or item is zero throughout (its `1` too); the score still counts
    the bias of the half that is known.

    A user is folded in under a penalty like that of the fit; with biases, of which the fit is sure
    long before it is of factors, under the spread of the fitted users.
    """

    name: ClassVar[str] = "mf"
    config_class: ClassVar[type[Config]] = MFConfig

    def __init__(self, config: MFConfig) -> None:
        super().__init__(config)
        self._options = config
        self._mean = torch.zeros(1)

    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Train embeddings (and biases) with Adam; an interrupted fit resumes from `checkpoint`."""
        generator = torch.Generator().manual_seed(seed)
        network = _MFNetwork(data, self._options, generator)
        checkpointer = Checkpointer.of(checkpoint, self.config, seed, data)
        course = fit_pointwise(network, data, self._options, generator, checkpointer, on_epoch)
        users, items = network.users.weight.detach(), network.items.weight.detach()
        if self._options.biases:
            user_ones = _ones(data.train.user_ids, len(users))
            item_ones = _ones(data.train.item_ids, len(items))
            users = torch.cat([users, network.user_bias.weight.detach(), user_ones], 1)
            items = torch.cat([items, item_ones, network.item_bias.weight.detach()], 1)
            self._mean = network.mean.detach()
        self.set_tables(users, items)
        self.measure_firmness(data)
        return course

    def score(self, pairs: Pairs) -> FloatArray:
        """Return `p . q`, with biases `mean + b_u + b_i + p . q`: [N] logits."""
        if not self._options.biases:
            return super().score(pairs)
        return biased_product(*self.halves(pairs)) + float(self._mean)

    @cached_property
    def plain_prior(self) -> Prior:
        """Without biases around zero, with them the spread of the fitted users."""
        if self._options.biases:
            return Prior.of(self._fitted_unknowns)
        return Prior(np.zeros(self.vector_size), np.ones(self.vector_size))

    @property
    def plain_firmness(self) -> float:
        """Without biases the penalty of the fit."""
        decay, report = self._options.weight_decay, self.report
        if self._options.biases or report is None or decay == 0:
            return 1.0
        return report.train_rows * decay

    def regressors(self, items: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the item factors; with biases also a 1 for the user's, and the item's own."""
        vectors, offsets = super().regressors(items)
        if not self._options.biases:
            return vectors, offsets
        return vectors[:, :-1], vectors[:, -1] + float(self._mean)

    def unknowns(self, vectors: FloatArray) -> FloatArray:
        """Leave out the user's 1 where there are biases."""
        return vectors[:, :-1] if self._options.biases else vectors

    def vector(self, solution: FloatArray) -> FloatArray:
        """Put the user's 1 back."""
        return np.append(solution, 1.0) if self._options.biases else solution

    def new_item(self, users: FloatArray, labels: IntArray) -> torch.Tensor:
        """Return an item's vector; with biases the item's 1 is none of what is solved for."""
        if not self._options.biases:
            return super().new_item(users, labels)
        known = self.item_table[torch.from_numpy(self._known_items)].double().numpy()
        prior = Prior.of(np.delete(known, -2, axis=1))
        features = np.delete(users, -2, axis=1)
        offsets = users[:, -2] + float(self._mean)
        found = solved(Rows(features, offsets, labels.astype(np.float64)), prior)
        return torch.from_numpy(np.insert(found, len(found) - 1, 1.0)).float()

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return both tables and the global mean (a logit)."""
        return super().tensors() | {"mean": self._mean}

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over both tables and the global mean."""
        width = self._options.embedding_size + (2 if self._options.biases else 0)
        if tensors["users"].shape[1] != width:
            raise ValueError(f"vectors of {tensors['users'].shape[1]} numbers, not {width}")
        super().restore(tensors)
        self._mean = tensors["mean"]


class BiasedMFConfig(MFConfig):
    """Matrix factorisation with biases: `score = mean + b_u + b_i + p . q`."""

    biases: bool = True
    """Add a global mean, a user bias and an item bias to the score."""
    embedding_size: int = Field(default=32, gt=0)
    """Size of one embedding; the vectors have two numbers more."""
    init_std: float = Field(default=0.01, gt=0)
    """Standard deviation of the embeddings' start values: small, so that the biases come first."""


class BiasedMF(MF):
    """Matrix factorisation whose config has biases unless told otherwise."""

    name: ClassVar[str] = "mf-b"
    config_class: ClassVar[type[Config]] = BiasedMFConfig


class _MFNetwork(PointwiseNetwork):
    def __init__(self, data: FitData, config: MFConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.users = zero_embedding(data.num_users + 1, config.embedding_size)
        self.items = zero_embedding(data.num_items + 1, config.embedding_size)
        start_embedding(self.users, data.train.user_ids, config.init_std, generator)
        start_embedding(self.items, data.train.item_ids, config.init_std, generator)
        self.user_bias = zero_embedding(data.num_users + 1, 1)
        self.item_bias = zero_embedding(data.num_items + 1, 1)
        self.mean = nn.Parameter(torch.zeros(1), requires_grad=config.biases)
        self.user_bias.weight.requires_grad_(config.biases)
        self.item_bias.weight.requires_grad_(config.biases)

    def batcher(self, pairs: Pairs) -> Callable[[torch.Tensor], Inputs]:
        users, items = torch.from_numpy(pairs.user_ids), torch.from_numpy(pairs.item_ids)
        return lambda rows: (users[rows], items[rows])

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        users, items = inputs
        products = (self.users(users) * self.items(items)).sum(1)
        return products + self.mean + (self.user_bias(users) + self.item_bias(items)).squeeze(1)


def _ones(seen: IntArray, size: int) -> torch.Tensor:
    """Return a column that is 1 for the ids in `seen` and 0 for all others: [size, 1]."""
    column = torch.zeros(size, 1)
    column[torch.from_numpy(distinct(seen))] = 1.0
    return column
