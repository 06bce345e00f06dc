"""The one scorer: a chunk of pairs in, their logits out, the same bits wherever it runs."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from corarec.backbone.compiling import uncompiled
from corarec.errors import TrainingError
from corarec.score.context import Context
from corarec.types import PADDING_ID, FloatArray, Histories, IntArray, Pairs

Batch = dict[str, torch.Tensor]
Progress = Callable[[int], None]

BATCH_PAIRS = 64
PASS_TOKENS, PASS_TOKENS_GPU = 4096, 16_384
"""Tokens in one forward pass at most; on a CPU more of them leave its caches."""
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
        """Return the logit of "the user enjoys the item": [B].

        A system may have `scoring_logits` beside it, the same up to rounding for less work, and
        `scoring_order`, which returns the rows of examples in the order to score them in: [N].
        """


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
                logits = system.catalogue_logits(**_on(system.device, batch)).float().cpu().numpy()
                for row, of_context in zip(rows.tolist(), logits.astype(np.float64), strict=True):
                    scores[row] = of_context
        found = np.stack(scores)
        if not np.isfinite(found).all():
            row, item = np.argwhere(~np.isfinite(found))[0]
            one = replace(pairs.take(slice(row, row + 1)), item_ids=np.array([item]))
            check_scores(system, found[row, item : item + 1], one)
        return found


def _all_of(contexts: Sequence[Context]) -> Pairs:
    """Return a pair for each context, whose item is none."""
    return Pairs(
        np.array([context.user_id for context in contexts], dtype=np.int64),
        np.full(len(contexts), PADDING_ID, dtype=np.int64),
        Histories.from_lists([context.liked.tolist() for context in contexts]),
    )


def batched(examples: Examples, batch_pairs: int = BATCH_PAIRS) -> Iterator[tuple[IntArray, Batch]]:
    """Cut examples into batches of like length, the longest first; yield rows and tensors."""
    order = by_length(examples)
    for first in range(0, len(order), batch_pairs):
        rows = order[first : first + batch_pairs]
        yield rows, examples.batch(rows)


def by_length(examples: Examples) -> IntArray:
    """Return the rows of examples, the longest first: [N]."""
    return np.argsort(examples.lengths, kind="stable")[::-1]


class Batches:
    """The batches of one chunk, each scored in as many passes as its tokens ask for.

    Parameters
    ----------
    pairs
        The chunk.
    batch_pairs
        Pairs per batch, but for the last.
    new_titles
        As in `Scorer.score`.
    """

    def __init__(
        self,
        system: PairSystem,
        pairs: Pairs,
        batch_pairs: int = BATCH_PAIRS,
        new_titles: Sequence[str] = (),
    ) -> None:
        self._system = system
        self._pairs = pairs
        self._batch_pairs = batch_pairs
        self._examples = system.inputs(pairs, new_titles)
        self._order: IntArray = getattr(system, "scoring_order", by_length)(self._examples)

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self._order) // self._batch_pairs)

    def score(self, chosen: slice, progress: Progress | None = None) -> tuple[IntArray, FloatArray]:
        """Score some batches, by their places among all: `chosen.start` to `chosen.stop`.

        Returns
        -------
        rows, logits
            Two of [n]: places of the pairs in the chunk, and their logits.

        Raises
        ------
        TrainingError
            As `score_passes`.
        """
        rows = self._rows(chosen)
        pairs = self._pairs.take(rows)
        return rows, score_passes(self._system, self.passes(chosen), pairs, progress, numbers=rows)

    def passes(self, chosen: slice) -> Iterator[tuple[IntArray, Batch]]:
        """Yield what the system reads of some batches, pass by pass: places and tensors."""
        rows, done = self._rows(chosen), 0
        for first in range(0, len(rows), self._batch_pairs):
            for part in self._cut(rows[first : first + self._batch_pairs]):
                yield np.arange(done, done + len(part)), self._examples.batch(part)
                done += len(part)

    def _rows(self, chosen: slice) -> IntArray:
        return self._order[chosen.start * self._batch_pairs : chosen.stop * self._batch_pairs]

    def _cut(self, rows: IntArray) -> Iterator[IntArray]:
        """Cut the rows of a batch into parts that hold so many tokens at most, padding included."""
        most = pass_tokens(self._system.device)
        first, width = 0, 0
        for place, length in enumerate(self._examples.lengths[rows].tolist()):
            width = max(width, length)
            if place > first and (place + 1 - first) * width > most:
                yield rows[first:place]
                first, width = place, length
        yield rows[first:]


def pass_tokens(device: torch.device) -> int:
    """Return how many tokens one forward pass on a device has at most."""
    return PASS_TOKENS if device.type == "cpu" else PASS_TOKENS_GPU


def score_passes(
    system: PairSystem,
    passes: Iterable[tuple[IntArray, Batch]],
    pairs: Pairs,
    progress: Progress | None = None,
    *,
    numbers: IntArray | None = None,
) -> FloatArray:
    """Return the logits of the pairs that stand in the passes, in the quickest way: [N].

    Compiled blocks run as they were: passes are of many sizes, each of which would be compiled anew
    until a limit, so that bits would depend on what was scored before. The rest is as in
    `score_batches`.

    Raises
    ------
    TrainingError
        As `score_batches`.
    """
    logits = getattr(system, "scoring_logits", system.logits)
    with uncompiled():
        return score_batches(system, passes, pairs, progress, logits=logits, numbers=numbers)


def score_batches(
    system: PairSystem,
    batches: Iterable[tuple[IntArray, Batch]],
    pairs: Pairs,
    progress: Progress | None = None,
    *,
    logits: Callable[..., torch.Tensor] | None = None,
    numbers: IntArray | None = None,
) -> FloatArray:
    """Return the logits of the pairs that stand in the batches: [N].

    `logits` gives those of a batch; the system's own where there is none. `numbers` [N] is what
    errors call the pairs.

    Raises
    ------
    TrainingError
        A score is not a finite number, or the system is in training mode.
    """
    check_still(system)
    scores = np.empty(len(pairs), dtype=np.float64)
    logits = logits or system.logits
    with torch.inference_mode():
        for rows, batch in batches:
            scores[rows] = logits(**_on(system.device, batch)).float().cpu().numpy()
            if progress is not None:
                progress(len(rows))
    check_scores(system, scores, pairs, numbers)
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


def check_scores(
    system: PairSystem, scores: FloatArray, pairs: Pairs, numbers: IntArray | None = None
) -> None:
    """See that the scores of pairs are finite; `numbers` [N] is what the error calls them.

    Raises
    ------
    TrainingError
        One is not.
    """
    if not np.isfinite(scores).all():
        bad = int(np.flatnonzero(~np.isfinite(scores))[0])
        raise TrainingError(
            f"{type(system).__name__} gave {scores[bad]} for pair "
            f"{bad if numbers is None else numbers[bad]} (user "
            f"{pairs.user_ids[bad]}, item {pairs.item_ids[bad]}), where a finite logit was "
            "wanted. Lower the learning rate, or run in float32 if this is a 16-bit overflow."
        )


def _on(device: torch.device, batch: Batch) -> Batch:
    return {name: values.to(device) for name, values in batch.items()}
