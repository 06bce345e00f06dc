"""The one scorer: a chunk of pairs in, their logits out, the same bits wherever it runs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from corarec.backbone.compiling import uncompiled
from corarec.score.batches import (
    BATCH_PAIRS,
    Batches,
    PairSystem,
    Progress,
    batched,
    check_scores,
    check_still,
    on_device,
)
from corarec.score.context import Context
from corarec.types import PADDING_ID, FloatArray, Histories, IntArray, Pairs

CHUNK_PAIRS = 10_000
"""Pairs among which those of like length are put together; a chunk depends on nothing else."""


@runtime_checkable
class CatalogueSystem(PairSystem, Protocol):
    """A system that gives the logits of all items in one forward pass for whoever asks."""

    def catalogue_logits(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return the logits of all items for a batch of pairs, whatever their items: [B, I + 1].

        The column of an item is its id; item 0 is one that nobody knows.
        """


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
        scores = np.empty(len(pairs), dtype=np.float64)
        rows, found = self.batches(pairs, new_titles).score(slice(0, len(pairs)), progress)
        scores[rows] = found
        return scores

    def batches(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> "Batches":
        """Return the batches of one chunk, to be scored a few at a time."""
        return Batches(self.system, pairs, self.batch_pairs, new_titles)

    def score_items(
        self,
        context: Context,
        item_ids: IntArray,
        *,
        new_titles: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> FloatArray:
        """Return the logits of many items in one context: [N]; as in `score`."""
        if self.scores_catalogues and not new_titles:
            (scores,) = self.score_catalogue([context])
            if progress is not None:
                progress(len(item_ids))
            return scores[np.where(item_ids < len(scores), item_ids, PADDING_ID)]
        return self.score(context.pairs(item_ids), new_titles=new_titles, progress=progress)

    @property
    def scores_catalogues(self) -> bool:
        """Whether one forward pass scores all items in a context."""
        return isinstance(self.system, CatalogueSystem)

    def score_catalogue(self, contexts: Sequence[Context]) -> FloatArray:
        """Return the logits of all items in some contexts: [B, I + 1], see `CatalogueSystem`.

        Raises
        ------
        TrainingError
            A score is not a finite number, or the system is in training mode.
        """
        system = self.system
        assert isinstance(system, CatalogueSystem), "ask `scores_catalogues` before"
        check_still(system)
        pairs = _all_of(contexts)
        scores: list[FloatArray] = [np.empty(0)] * len(pairs)
        with torch.inference_mode(), uncompiled():
            for rows, batch in batched(system.inputs(pairs), self.batch_pairs):
                logits = (
                    system.catalogue_logits(**on_device(system.device, batch)).float().cpu().numpy()
                )
                for row, of_context in zip(rows.tolist(), logits.astype(np.float64), strict=True):
                    scores[row] = of_context
        whole = np.stack(scores)
        if not np.isfinite(whole).all():
            row, item = np.argwhere(~np.isfinite(whole))[0]
            one = replace(pairs.take(slice(row, row + 1)), item_ids=np.array([item]))
            check_scores(system, whole[row, item : item + 1], one)
        return whole


def _all_of(contexts: Sequence[Context]) -> Pairs:
    """Return a pair for each context, whose item is none."""
    return Pairs(
        np.array([context.user_id for context in contexts], dtype=np.int64),
        np.full(len(contexts), PADDING_ID, dtype=np.int64),
        Histories.from_lists([context.liked.tolist() for context in contexts]),
    )
