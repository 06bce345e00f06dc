"""SASRec (Kang & McAuley 2018): the user is what he or she liked last, in order."""

from copy import copy
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from pydantic import Field, model_validator

from corarec.cf.base import CFModel, not_fitted
from corarec.cf.data import FitData
from corarec.cf.feedback import Feedback, Takes
from corarec.cf.report import FitCourse, OnEpoch
from corarec.cf.sequences.network import SASRecNetwork
from corarec.cf.training.checkpoint import Checkpointer
from corarec.cf.training.pointwise import PointwiseConfig, fit_pointwise
from corarec.cf.vectors import VectorTable, known_ids
from corarec.types import Config, FloatArray, Pairs


class SASRecConfig(PointwiseConfig):
    """SASRec on the liked items before the target."""

    embedding_size: int = Field(default=64, gt=0)
    """Size of one embedding, `d`."""
    max_length: int = Field(default=25, gt=0)
    """How many liked items, counted back from the target, make the sequence."""
    blocks: int = Field(default=2, gt=0)
    """Self-attention blocks."""
    heads: int = Field(default=1, gt=0)
    """Attention heads; they divide the embedding size."""
    dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout on the input, the attention weights and the feed-forward layers."""

    @model_validator(mode="after")
    def _heads_divide(self) -> "SASRecConfig":
        if self.embedding_size % self.heads:
            raise ValueError(
                f"heads ({self.heads}) do not divide embedding_size ({self.embedding_size}); take "
                "a divisor of it"
            )
        return self


class SASRec(CFModel):
    """SASRec: the encoding at the last liked item, and the embedding of the target item.

    No user id enters: the user vector belongs to the row, through its history, and a new user with
    a history has one. A row without history (or whose liked items never occurred in training) has
    the zero vector.
    """

    name: ClassVar[str] = "sasrec"
    config_class: ClassVar[type[Config]] = SASRecConfig

    def __init__(self, config: SASRecConfig) -> None:
        super().__init__(config)
        self._options = config
        self._network: SASRecNetwork | None = None

    @property
    def vector_size(self) -> int:
        """`d`, the embedding size."""
        return self._options.embedding_size

    @property
    def takes(self) -> Takes:
        """The history of each pair is all that it reads."""
        return "history"

    def extended(self, feedback: Feedback, num_items: int) -> "SASRec":
        """Return this model with room for new items, which say nothing in a history."""
        before = self._fitted()
        network = self._new_network(max(num_items, before.num_items))
        weights = network.state_dict()
        for name, weight in before.state_dict().items():
            # Of every item there is a row, and a mark whether it is known.
            weights[name].zero_()[: len(weight)] = weight
        network.load_state_dict(weights)
        model = copy(self)
        model._network = network.eval()
        return model

    def _fit(
        self, data: FitData, seed: int, checkpoint: Path | None, on_epoch: OnEpoch | None
    ) -> FitCourse:
        """Train embeddings and blocks with Adam; an interrupted fit resumes from `checkpoint`."""
        generator = torch.Generator().manual_seed(seed)
        network = self._new_network(data.num_items)
        network.start(data.train, generator)
        checkpointer = Checkpointer.of(checkpoint, self.config, seed, data)
        course = fit_pointwise(network, data, self._options, generator, checkpointer, on_epoch)
        self._network = network.eval()
        return course

    def vector_table(self, pairs: Pairs) -> VectorTable:
        """Return the vectors of every pair, one user vector per distinct sequence."""
        network = self._fitted()
        sequences, user_rows = network.distinct_sequences(pairs)
        items, item_rows = np.unique(
            known_ids(pairs.item_ids, network.num_items + 1), return_inverse=True
        )
        return VectorTable(
            _encode(network, torch.from_numpy(sequences)),
            network.items.weight.detach()[torch.from_numpy(items)],
            user_rows,
            item_rows,
        )

    def score(self, pairs: Pairs) -> FloatArray:
        """Return the dot product of the user's and the item's vector: [N] logits."""
        table = self.vector_table(pairs)
        users, items = table.lookup(np.arange(len(pairs)))
        return (users * items).sum(1).numpy().astype(np.float64)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the network's weights."""
        return self._fitted().state_dict()

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Take over the network's weights."""
        network = self._new_network(len(tensors["items.weight"]) - 1)
        network.load_state_dict(tensors)
        self._network = network.eval()

    def _new_network(self, num_items: int) -> SASRecNetwork:
        options = self._options
        return SASRecNetwork(
            num_items,
            options.embedding_size,
            options.max_length,
            options.blocks,
            options.heads,
            options.dropout,
        )

    def _fitted(self) -> SASRecNetwork:
        if self._network is None:
            raise not_fitted(self)
        return self._network


@torch.inference_mode()
def _encode(network: SASRecNetwork, sequences: torch.Tensor) -> torch.Tensor:
    """Encode in batches of like length: [S, T] to [S, d]."""
    order = torch.argsort((sequences != 0).sum(1), stable=True)
    vectors = torch.empty(len(sequences), network.items.embedding_dim)
    for rows in order.split(4096):
        vectors[rows] = network.encode(sequences[rows])
    return vectors
