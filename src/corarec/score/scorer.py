"""The one scorer: a chunk of pairs in, their logits out, the same bits wherever it runs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch

from corarec.errors import TrainingError
from corarec.score.context import Context
from corarec.types import FloatArray, IntArray, Pairs

Batch = dict[str, torch.Tensor]
Progress = Callable[[int], None]

BATCH_PAIRS = 64
CHUNK_PAIRS = 10_000
"""Pairs among which those of like length are put together; a chunk depends on nothing else."""


class Examples(Protocol):
    """What a system learns from or scores, ready to be cut into batches."""

    lengths: IntArray
    """[N] how long each example is, in any unit, so that like can be batched with like."""

    def __len__(self) -> int:
        """Return the number of examples."""

    def batch(self, rows: IntArray) -> Batch:
        """Return the tensors of the examples at `rows`, padded to the longest of them."""


class PairSystem(Protocol):
    """A system that gives a logit per pair, as the scorer sees it."""

    training: bool

    @property
    def device(self) -> torch.device:
        """Where batches must be."""

    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> Examples:
        """Gather whatever the system needs to know of `pairs`."""

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logit of "the user enjoys the item": [B]."""


class Scorer:
    """Scores pairs with a system in evaluation mode.

    It changes nothing in the system, so several threads may share one. Batches depend on the chunk
    alone: however chunks are spread over workers, a pair's score has the same bits.

    Parameters
    ----------
    batch_pairs
        Pairs per forward pass.
    chunk_pairs
        Pairs per chunk.
    """

    def __init__(
        self,
        system: PairSystem,
        *,
        batch_pairs: int = BATCH_PAIRS,
        chunk_pairs: int = CHUNK_PAIRS,
    ) -> None:
        self.system = system
        self.batch_pairs = batch_pairs
        self.chunk_pairs = chunk_pairs

    def score(
        self,
        pairs: Pairs,
        *,
        new_titles: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> FloatArray:
        """Return the logits of `pairs`, in their order: [N].

        Parameters
        ----------
        new_titles
            Titles of items that are not in the catalogue of `I` items: id `I + 1` is the first.
        progress
            Called with the number of pairs just scored.

        Raises
        ------
        TrainingError
            A score is not a finite number.
        """
        scores = np.empty(len(pairs), dtype=np.float64)
        for first in range(0, len(pairs), self.chunk_pairs):
            chunk = slice(first, first + self.chunk_pairs)
            scores[chunk] = self.score_chunk(pairs.take(chunk), new_titles, progress)
        return scores

    def score_chunk(
        self, pairs: Pairs, new_titles: Sequence[str] = (), progress: Progress | None = None
    ) -> FloatArray:
        """Return the logits of one chunk: [N]; as in `score`."""
        examples = self.system.inputs(pairs, new_titles)
        return score_batches(self.system, batched(examples, self.batch_pairs), pairs, progress)

    def score_items(
        self,
        context: Context,
        item_ids: IntArray,
        *,
        new_titles: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> FloatArray:
        """Return the logits of many items in one context: [N]; as in `score`."""
        return self.score(context.pairs(item_ids), new_titles=new_titles, progress=progress)


def batched(examples: Examples, batch_pairs: int = BATCH_PAIRS) -> Iterator[tuple[IntArray, Batch]]:
    """Cut examples into batches of like length, the longest first; yield rows and tensors."""
    order = np.argsort(examples.lengths, kind="stable")[::-1]
    for first in range(0, len(order), batch_pairs):
        rows = order[first : first + batch_pairs]
        yield rows, examples.batch(rows)


def score_batches(
    system: PairSystem,
    batches: Iterable[tuple[IntArray, Batch]],
    pairs: Pairs,
    progress: Progress | None = None,
) -> FloatArray:
    """Return the logits of the pairs that stand in the batches: [N].

    Raises
    ------
    TrainingError
        A score is not a finite number, or the system is in training mode.
    """
    check_still(system)
    scores = np.empty(len(pairs), dtype=np.float64)
    with torch.inference_mode():
        for rows, batch in batches:
            on_device = {name: values.to(system.device) for name, values in batch.items()}
            scores[rows] = system.logits(**on_device).float().cpu().numpy()
            if progress is not None:
                progress(len(rows))
    check_scores(system, scores, pairs)
    return scores


def check_still(system: PairSystem) -> None:
    """See that a system is in evaluation mode.

    Raises
    ------
    TrainingError
        It is not.
    """
    if system.training:
        raise TrainingError(
            f"{type(system).__name__} is in training mode, with its dropout on. Call eval() first."
        )


def check_scores(system: PairSystem, scores: FloatArray, pairs: Pairs) -> None:
    """See that the scores of pairs are finite.

    Raises
    ------
    TrainingError
        One is not.
    """
    if not np.isfinite(scores).all():
        bad = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise TrainingError(
            f"{type(system).__name__} gave {scores[bad]} for pair {bad} (user "
            f"{pairs.user_ids[bad]}, item {pairs.item_ids[bad]}), where a finite logit was "
            "wanted. Lower the learning rate, or run in float32 if this is a 16-bit overflow."
        )
