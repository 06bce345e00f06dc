"""Pairs in batches of like length, and the logits that a system gives them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import torch

from corarec.backbone.compiling import uncompiled
from corarec.errors import TrainingError
from corarec.types import FloatArray, IntArray, Pairs

Batch = dict[str, torch.Tensor]
Progress = Callable[[int], None]

BATCH_PAIRS = 64
PASS_TOKENS, PASS_TOKENS_GPU = 4096, 16_384
"""Tokens in one forward pass at most; on a CPU more of them leave its caches."""


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
            scores[rows] = logits(**on_device(system.device, batch)).float().cpu().numpy()
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


def on_device(device: torch.device, batch: Batch) -> Batch:
    """Return a batch whose tensors are on a device."""
    return {name: values.to(device) for name, values in batch.items()}
