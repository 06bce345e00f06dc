"""LightGCN (He et al. 2020): embeddings smoothed over the graph of liked items."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from scipy import sparse

from corarec.cf.data import FitData
from corarec.cf.factors.config import FactorsConfig
from corarec.cf.factors.folding import Prior
from corarec.cf.factors.folding_tables import FoldingTable
from corarec.cf.feedback import Feedback
from corarec.cf.report import FitCourse, OnEpoch
from corarec.cf.training.checkpoint import Checkpointer
from corarec.cf.training.network import Inputs, PointwiseNetwork, start_embedding, zero_embedding
from corarec.cf.training.pointwise import fit_pointwise
from corarec.types import Config, FloatArray, IntArray, Pairs


class LightGCNConfig(FactorsConfig):
    """LightGCN on the graph of the training positives."""

    layers: int = Field(default=2, gt=0)
    """Steps of smoothing; the final vector is the mean of the start and of every step."""
    init_std: float = Field(default=0.1, gt=0)
    """Standard deviation of the embeddings' start values."""
    most_steps: int = Field(default=64, gt=0)
    """Steps of an epoch at most, each of which smooths the whole graph: with more rows than these
    take, a step takes more of them."""


class LightGCN(FoldingTable):
    """LightGCN: `E_(l+1) = D^-1/2 A D^-1/2 E_l`, vector = mean over l, score = dot product.

    `A` joins users and items by the training positives (equations 3, 4 and 8 of the paper). What is
    kept after the fit are the smoothed vectors.

    A user is folded in by smoothing once more over his or her liked items, whose vectors and
    degrees stay as they are; what the start embedding adds to that is solved for under the penalty
    of the fit, by likes and dislikes.
    """

    name: ClassVar[str] = "lightgcn"
    config_class: ClassVar[type[Config]] = LightGCNConfig

    def __init__(self, config: LightGCNConfig) -> None:
        super().__init__(config)
        self._options = config

    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Train the embeddings with Adam; an interrupted fit resumes from `checkpoint`."""
        generator = torch.Generator().manual_seed(seed)
        network = _LightGCNNetwork(data, self._options, generator)
        checkpointer = Checkpointer.of(checkpoint, self.config, seed, data)
        course = fit_pointwise(network, data, self._options, generator, checkpointer, on_epoch)
        with torch.no_grad():
            vectors = network.smooth()
        users, items = vectors.split([data.num_users + 1, data.num_items + 1])
        self.set_tables(users.clone(), items.clone())
        self.measure_firmness(data)
        return course

    @cached_property
    def plain_prior(self) -> Prior:
        """What the start embedding may add to smoothing: nothing is expected."""
        return Prior(np.zeros(self.vector_size), np.ones(self.vector_size))

    @property
    def plain_firmness(self) -> float:
        """The penalty of the fit on what enters the mean of `layers + 1` vectors once."""
        decay, report = self._options.weight_decay, self.report
        if report is None or decay == 0:
            return 1.0
        return report.train_rows * decay * (self._options.layers + 1) ** 2

    def centre(self, liked: IntArray, feedback: Feedback) -> FloatArray | float:
        """Return `sum(q_i / sqrt(degree of the user x degree of i))` over the liked items."""
        liked = np.unique(liked)
        if not len(liked):
            return 0.0
        counts = feedback.popularity
        degrees = np.maximum(counts[np.where(liked < len(counts), liked, 0)], 1)
        vectors, _ = self.regressors(liked)
        return np.asarray(vectors.T @ (1 / np.sqrt(degrees * len(liked))))

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over both tables."""
        if tensors["users"].shape[1] != self._options.embedding_size:
            raise ValueError(f"vectors of {tensors['users'].shape[1]} numbers")
        super().restore(tensors)


class _LightGCNNetwork(PointwiseNetwork):
    def __init__(self, data: FitData, config: LightGCNConfig, generator: torch.Generator) -> None:
        super().__init__()
        self._layers = config.layers
        self._first_item = data.num_users + 1
        nodes = self._first_item + data.num_items + 1
        # Users and items share one table, as they share one graph: no copying in every step.
        self.nodes = zero_embedding(nodes, config.embedding_size)
        seen = np.concatenate([data.train.user_ids, self._first_item + data.train.item_ids])
        start_embedding(self.nodes, seen, config.init_std, generator)
        liked = data.train_labels == 1
        self._graph = normalised_graph(
            data.train.user_ids[liked], self._first_item + data.train.item_ids[liked], nodes
        )

    @torch.no_grad()
    def smooth(self) -> torch.Tensor:
        """Return the vectors of all users and items: [U + 1 + I + 1, d]."""
        layer = total = self.nodes.weight
        for _ in range(self._layers):
            layer = product(self._graph, layer)
            total = total + layer
        return total / (self._layers + 1)

    def batcher(self, pairs: Pairs) -> Callable[[torch.Tensor], Inputs]:
        users, items = torch.from_numpy(pairs.user_ids), torch.from_numpy(pairs.item_ids)
        return lambda rows: (users[rows], self._first_item + items[rows])

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        nodes, places = torch.cat(inputs).unique(return_inverse=True)
        vectors = smoothed(self._graph, self.nodes.weight, nodes, self._layers)
        users, items = places.chunk(2)
        return (vectors[users] * vectors[items]).sum(1)

    def settled(self) -> Callable[..., torch.Tensor]:
        """Smooth once for all batches."""
        vectors = self.smooth()
        return lambda users, items: (vectors[users] * vectors[items]).sum(1)


def normalised_graph(left: IntArray, right: IntArray, nodes: int) -> sparse.csr_matrix:
    """Return `D^-1/2 A D^-1/2` of the undirected edges left - right: [nodes, nodes] float32.

    An edge that occurs several times counts once.
    """
    edges = sparse.coo_matrix((np.ones(len(left)), (left, right)), shape=(nodes, nodes)).tocsr()
    adjacency = edges + edges.T
    adjacency.data[:] = 1.0
    degree = np.asarray(adjacency.sum(1)).ravel()
    scale = sparse.diags(np.divide(1.0, np.sqrt(degree), where=degree > 0, out=np.zeros(nodes)))
    return (scale @ adjacency @ scale).tocsr().astype(np.float32)


def smoothed(
    graph: sparse.csr_matrix, x: torch.Tensor, nodes: torch.Tensor, layers: int
) -> torch.Tensor:
    """Return `(x + S x + ... + S^layers x) / (layers + 1)` at some nodes: [n, d].

    Parameters
    ----------
    graph
        `S`: [nodes, nodes], symmetric, so that its transpose is never formed.
    x
        [nodes, d]
    nodes
        [n] ascending, each once. Only they are smoothed for the last time, and in the gradient for
        the first time.
    """
    found: torch.Tensor = _Smoothed.apply(graph, x, nodes, layers)
    return found


class _Smoothed(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, graph: sparse.csr_matrix, x: torch.Tensor, nodes: torch.Tensor, layers: int
    ) -> torch.Tensor:
        near = graph[nodes.numpy()]
        ctx.graph, ctx.near, ctx.nodes, ctx.layers = graph, near, nodes, layers
        layer, total = x, x[nodes]
        for _ in range(layers - 1):
            layer = product(graph, layer)
            total = total + layer[nodes]
        return (total + product(near, layer)) / (layers + 1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, torch.Tensor, None, None]:
        own = gradients[0] / (ctx.layers + 1)
        found = product(ctx.near.T, own)
        found[ctx.nodes] += own
        for _ in range(ctx.layers - 1):
            found = product(ctx.graph, found)
            found[ctx.nodes] += own
        return None, found, None, None


def product(matrix: sparse.csr_matrix | sparse.csc_matrix, x: torch.Tensor) -> torch.Tensor:
    """Return a sparse matrix times `x`, by SciPy: as fast as torch on one thread, and not beta."""
    return torch.from_numpy(matrix @ x.detach().numpy())
