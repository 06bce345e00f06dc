"""The network of SASRec, trained on distinct sequences and read only at the last position."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

from corarec.arrays import distinct_rows
from corarec.cf.training.network import Inputs, PointwiseNetwork, start_embedding, zero_embedding
from corarec.types import BoolArray, Histories, IntArray, Pairs

_ROWS_AT_ONCE = 2**17


class SASRecNetwork(PointwiseNetwork):
    """Causal self-attention over liked items; the logit is encoding . item embedding.

    As in the authors' code the residual of both sublayers starts from the normalised input.
    Positions are counted back from the last item, so padding on the left changes nothing.

    Parameters
    ----------
    num_items
        The largest item id.
    size
        `d`
    max_length
        Longest sequence.
    blocks, heads
        Attention blocks, and heads in each.
    dropout
        Rate on the input, the attention weights and the feed-forward layers.
    """

    known: torch.Tensor
    """[I + 1] true for the items that occur in training; all others are left out of sequences."""

    def __init__(
        self, num_items: int, size: int, max_length: int, blocks: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.num_items = num_items
        self.max_length = max_length
        self.items = zero_embedding(num_items + 1, size)
        self.positions = zero_embedding(max_length, size)
        self.dropout = _Dropout(dropout)
        self.blocks = nn.ModuleList(_Block(size, heads, self.dropout) for _ in range(blocks))
        self.norm = nn.LayerNorm(size, eps=1e-8)
        self.register_buffer("known", torch.zeros(num_items + 1, dtype=torch.bool))

    def start(self, train: Pairs, generator: torch.Generator) -> None:
        """Draw the start values, and from then on the dropout, from `generator`."""
        self.dropout.generator = generator
        histories = train.histories
        seen = np.concatenate([train.item_ids, histories.liked_items[_covered(histories)]])
        self.known[torch.from_numpy(seen)] = True
        for name, weight in self.named_parameters():
            if weight.ndim == 2:
                nn.init.xavier_normal_(weight, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)
        std = math.sqrt(2 / sum(self.items.weight.shape))
        start_embedding(self.items, seen, std, generator)

    def encode(self, sequences: torch.Tensor) -> torch.Tensor:
        """Encode sequences of item ids, zeros on the left: [S, T] to [S, d].

        An empty sequence gives the zero vector.
        """
        x, present, visible = self._before_last_block(sequences)
        # Only the last position is read, so the last block computes no other.
        last = self.blocks[-1](x[:, -1:], x, visible[:, -1:]).squeeze(1)
        return self.norm(last) * present[:, -1:]

    def encode_all(self, sequences: torch.Tensor) -> torch.Tensor:
        """Encode every beginning of sequences, zeros on the left: [S, T] to [S, L, d].

        `L` is the length of the longest; what stands for a zero means nothing.
        """
        x, _, visible = self._before_last_block(sequences)
        encoded: torch.Tensor = self.norm(self.blocks[-1](x, x, visible))
        return encoded

    def _before_last_block(
        self, sequences: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return states [S, L, d], where items are [S, L], and who may look at whom [S, L, L]."""
        longest = max(1, int((sequences != 0).sum(1).max())) if len(sequences) else 1
        sequences = sequences[:, -longest:]
        present = sequences != 0
        distance = torch.arange(longest - 1, -1, -1)
        scale = math.sqrt(self.items.embedding_dim)
        x = self.items(sequences) * scale + self.positions(distance)
        x = self.dropout(x) * present.unsqueeze(2)
        causal = torch.ones(longest, longest, dtype=torch.bool).tril()
        # A padded position may look at itself, or its softmax would have nothing to share out.
        visible = (causal & present[:, None, :]) | torch.eye(longest, dtype=torch.bool)
        for block in self.blocks[:-1]:
            x = block(x, x, visible) * present.unsqueeze(2)
        return x, present, visible

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Return the logits [B] of items [B] for the sequences [S, T] chosen by `owners` [B]."""
        sequences, owners, items = inputs
        return (self.encode(sequences)[owners] * self.items(items)).sum(1)

    def batcher(self, pairs: Pairs) -> Callable[[torch.Tensor], Inputs]:
        """Return a function that encodes each distinct sequence of a batch once."""
        distinct, owners = self.distinct_sequences(pairs)
        sequences, owner_rows = torch.from_numpy(distinct), torch.from_numpy(owners)
        items = torch.from_numpy(pairs.item_ids)

        def batch(rows: torch.Tensor) -> Inputs:
            present, owners = owner_rows[rows].unique(return_inverse=True)
            return sequences[present], owners, items[rows]

        return batch

    def row_groups(self, pairs: Pairs) -> IntArray:
        """Keep rows of the same sequence together, so that it is encoded once."""
        return self.distinct_sequences(pairs)[1]

    def distinct_sequences(self, pairs: Pairs) -> tuple[IntArray, IntArray]:
        """Return the distinct sequences [S, T] and each row's place among them [N]."""
        # Rows between two likes of a user have the same history: most work is done once for them.
        spans = pairs.histories
        keys = np.where(spans.start < spans.end, spans.start, 0) * (len(spans.liked_items) + 1)
        keys += np.where(spans.start < spans.end, spans.end, 0)
        once, rows = np.unique(keys, return_inverse=True)
        some = np.zeros(len(once), np.int64)
        some[rows] = np.arange(len(rows))
        sequences = known_sequences(spans.take(some), self.max_length, self.known.numpy())
        distinct, owners = distinct_rows(sequences)
        return distinct, owners[rows]


class _Block(nn.Module):
    """Attention and feed-forward, each `norm(x) + sublayer(norm(x))`."""

    def __init__(self, size: int, heads: int, dropout: "_Dropout") -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(size, eps=1e-8)
        self.query = skip_init(nn.Linear, size, size)
        self.key_value = skip_init(nn.Linear, size, 2 * size)
        self.output = skip_init(nn.Linear, size, size)
        self.forward_norm = nn.LayerNorm(size, eps=1e-8)
        self.inner = skip_init(nn.Linear, size, size)
        self.outer = skip_init(nn.Linear, size, size)
        self.dropout = dropout

    def forward(self, x: torch.Tensor, keys: torch.Tensor, visible: torch.Tensor) -> torch.Tensor:
        """Return the new states of `x` [S, Q, d], which look at `keys` [S, T, d]."""
        x = self.attention_norm(x)
        query = self._split(self.query(x))
        key, value = (self._split(half) for half in self.key_value(keys).chunk(2, dim=2))
        weights = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        weights = weights.masked_fill(~visible.unsqueeze(1), -torch.inf).softmax(3)
        attended = self.dropout(weights) @ value
        x = self.forward_norm(x + self.output(attended.transpose(1, 2).flatten(2)))
        return x + self.dropout(self.outer(self.dropout(F.relu(self.inner(x)))))

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class _Dropout(nn.Module):
    """Dropout from its own random generator, for resume and repeat bit for bit."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generator: torch.Generator | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or self.rate == 0:
            return x
        kept = torch.empty_like(x).bernoulli_(1 - self.rate, generator=self.generator)
        return x * kept / (1 - self.rate)


def known_sequences(histories: Histories, max_length: int, known: BoolArray) -> IntArray:
    """Return the last items of each history, unknown ones left out: [N, max_length], zeros left."""
    found = np.zeros((len(histories), max_length), dtype=np.int64)
    for first in range(0, len(histories), _ROWS_AT_ONCE):
        piece = slice(first, first + _ROWS_AT_ONCE)
        items = histories.take(piece).last(max_length)
        within = items < len(known)
        items[~within | ~known[np.where(within, items, 0)]] = 0
        padding_first = np.argsort(items != 0, axis=1, kind="stable")
        found[piece] = np.take_along_axis(items, padding_first, axis=1)
    return found


def _covered(histories: Histories) -> BoolArray:
    """Return which positions of `liked_items` lie in some history: [P]."""
    steps = np.zeros(len(histories.liked_items) + 1, dtype=np.int64)
    np.add.at(steps, histories.start, 1)
    np.add.at(steps, histories.end, -1)
    return np.cumsum(steps)[:-1] > 0
