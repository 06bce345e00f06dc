"""Many items in one context: what their prompts have in common is read once."""

import logging
from collections.abc import Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from corarec.backbone.compiling import uncompiled
from corarec.score.batches import (
    BATCH_PAIRS,
    Batch,
    PairSystem,
    Progress,
    batched,
    check_scores,
    check_still,
    score_batches,
)
from corarec.score.context import Context
from corarec.score.scorer import CHUNK_PAIRS, Scorer
from corarec.types import FloatArray, IntArray, Pairs

log = logging.getLogger(__name__)

RANKED_PAIRS = 1024
"""Pairs whose prompts are held at once."""
TRIED_PAIRS = 8


@runtime_checkable
class SharingSystem(PairSystem, Protocol):
    """A system that can read the common beginning of many prompts once."""

    def ways_to_share(self) -> Sequence[str]:
        """Return the names of the ways in which it can, the quickest first; none where it cannot.

        A name stands in a remark to the user.
        """

    def share_tolerance(self) -> float:
        """Return how far logits in such a way may lie from plain ones.

        Relative to the largest of them, or to 1 where that is larger.
        """

    def shared_logits(self, batch: Batch, way: str) -> torch.Tensor | None:
        """Return the logits of pairs whose prompts begin alike: [B]; None where they do not."""


class Ranker(Scorer):
    """A scorer that reads once what the prompts of many items in one context have in common.

    A way to do so is taken only after the first items that come got their plain scores by it.
    Blocks that a recipe compiles run uncompiled here: compiling takes longer than many people's
    items.
    """

    def __init__(
        self,
        system: PairSystem,
        *,
        batch_pairs: int = BATCH_PAIRS,
        chunk_pairs: int = CHUNK_PAIRS,
    ) -> None:
        super().__init__(system, batch_pairs=batch_pairs, chunk_pairs=chunk_pairs)
        self._ways = list(system.ways_to_share()) if isinstance(system, SharingSystem) else []
        self._tried: set[str] = set()

    def score_items(
        self,
        context: Context,
        item_ids: IntArray,
        *,
        new_titles: Sequence[str] = (),
        progress: Progress | None = None,
    ) -> FloatArray:
        """Return the logits of many items in one context: [N].

        They equal those of `score` up to rounding. Memory does not grow with their number.

        Raises
        ------
        TrainingError
            A score is not a finite number, or the system is in training mode.
        """
        if self.scores_catalogues:
            return super().score_items(context, item_ids, new_titles=new_titles, progress=progress)
        scores = np.empty(len(item_ids), dtype=np.float64)
        for first in range(0, len(item_ids), RANKED_PAIRS):
            chunk = slice(first, first + RANKED_PAIRS)
            scores[chunk] = self._chunk(context.pairs(item_ids[chunk]), new_titles, progress)
        return scores

    def settle(self, asked: Iterable[tuple[Context, IntArray]]) -> None:
        """Try the ways to share on these contexts and items, and leave those that were not tried.

        What a ranker gives from here on hangs on nothing that it is asked in between.
        """
        for context, item_ids in asked:
            if self._tried.issuperset(self._ways):
                break
            self.score_items(context, item_ids)
        self._ways = [way for way in self._ways if way in self._tried]

    def _chunk(
        self, pairs: Pairs, new_titles: Sequence[str], progress: Progress | None
    ) -> FloatArray:
        system = self.system
        if len(pairs) > 1 and self._ways and isinstance(system, SharingSystem):
            check_still(system)
            inputs = system.inputs(pairs, new_titles)
            batch = inputs.batch(np.arange(len(pairs)))
            batch = {name: values.to(system.device) for name, values in batch.items()}
            for way in list(self._ways):
                with uncompiled():
                    logits = self._tried_logits(system, way, batch, pairs, new_titles)
                if logits is None:
                    continue
                scores = logits.astype(np.float64)
                check_scores(system, scores, pairs)
                if progress is not None:
                    progress(len(pairs))
                return scores
        return self.score(pairs, new_titles=new_titles, progress=progress)

    def _tried_logits(
        self,
        system: SharingSystem,
        way: str,
        batch: Batch,
        pairs: Pairs,
        new_titles: Sequence[str],
    ) -> FloatArray | None:
        """Return logits by one way: [N]; None where the prompts or the model do not allow it."""
        try:
            with torch.inference_mode():
                shared = system.shared_logits(batch, way)
        except (TypeError, ValueError, RuntimeError, AttributeError, IndexError, KeyError) as error:
            if way in self._tried or isinstance(error, torch.OutOfMemoryError):
                raise
            self._give_up(way, f"it failed ({' '.join(str(error).split())[:200]})")
            return None
        if shared is None:
            return None
        logits: FloatArray = shared.float().cpu().numpy()
        if way not in self._tried:
            rows = _spread(batch["attention_mask"].sum(dim=1).cpu().numpy())
            some = pairs.take(rows)
            plain = score_batches(system, batched(system.inputs(some, new_titles)), some)
            distance = float(np.abs(plain - logits[rows]).max() / max(1.0, np.abs(plain).max()))
            if not distance <= system.share_tolerance():
                self._give_up(way, f"scores would differ by {distance:.1e} from the plain ones")
                return None
            self._tried.add(way)
        return logits

    def _give_up(self, way: str, reason: str) -> None:
        if way in self._ways:
            self._ways.remove(way)
        log.warning(
            "warning: %s does not share what prompts have in common by %s: %s. It scores %s.",
            type(self.system).__name__,
            way,
            reason,
            f"by {self._ways[0]}" if self._ways else "every prompt as a whole, which is slower",
        )


def _spread(lengths: IntArray) -> IntArray:
    """Return a few rows, from the shortest prompt to the longest."""
    order = np.argsort(lengths, kind="stable")
    places = np.linspace(0, len(order) - 1, min(TRIED_PAIRS, len(order)))
    return order[places.round().astype(np.int64)]
