"""Long series of pairs in pieces: a few batches of one chunk each, with the bits of the whole."""

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import TypeVar

import numpy as np

from corarec.score.batches import BATCH_PAIRS, Batches, Progress
from corarec.score.scorer import CHUNK_PAIRS, Scorer
from corarec.types import FloatArray, Pairs
from corarec.workers.lanes import MOST_LANES, side_by_side
from corarec.workers.pieces import Work

Result = TypeVar("Result")

PIECE_BATCHES = MOST_LANES


class ScoredPairs(Work):
    """Pairs to be scored, cut into chunks and these into pieces.

    Which pairs are in a piece is known when those of its chunk were put in order by length, so what
    a piece gives holds both: [2, n], the places of its pairs in the chunk and their logits.
    """

    rows: int
    """How many pairs."""
    chunk_pairs: int = CHUNK_PAIRS
    """As in `Scorer`."""
    batch_pairs: int = BATCH_PAIRS
    """As in `Scorer`."""

    @property
    def count(self) -> int:
        """How many pieces there are."""
        whole, rest = divmod(self.rows, self.chunk_pairs)
        return whole * self._pieces(self.chunk_pairs) + self._pieces(rest)

    def size(self, number: int) -> int:
        """Return the number of pairs of a piece."""
        first = (number - self.pieces(self.group(number)).start) * self._piece_pairs
        return min(self._piece_pairs, self.chunk_rows(self.group(number)) - first)

    def group(self, number: int) -> int:
        """Return the number of the chunk that a piece is of."""
        return number // self._pieces(self.chunk_pairs)

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return -(-self.rows // self.chunk_pairs)

    def pieces(self, chunk: int) -> range:
        """Return the numbers of the pieces of a chunk."""
        first = chunk * self._pieces(self.chunk_pairs)
        return range(first, first + self._pieces(self.chunk_rows(chunk)))

    def chunk_rows(self, chunk: int) -> int:
        """Return how many pairs a chunk has."""
        return min(self.chunk_pairs, self.rows - chunk * self.chunk_pairs)

    def together(self, chunk: int, read: Callable[[int], FloatArray]) -> FloatArray:
        """Return the logits of a chunk: [n]; `read` returns what a piece gave."""
        scores = np.empty(self.chunk_rows(chunk))
        for number in self.pieces(chunk):
            rows, of_piece = read(number)
            scores[rows.astype(np.int64)] = of_piece
        return scores

    @property
    def _piece_pairs(self) -> int:
        return PIECE_BATCHES * self.batch_pairs

    def _pieces(self, rows: int) -> int:
        return -(-rows // self._piece_pairs)


class OpenPairs:
    """Pairs that are being scored.

    Parameters
    ----------
    pairs_of
        Returns the pairs of a chunk, by its number.
    """

    def __init__(self, work: ScoredPairs, scorer: Scorer, pairs_of: Callable[[int], Pairs]) -> None:
        self._work = work
        self._scorer = scorer
        self._pairs_of = pairs_of
        self._chunk: tuple[int, Batches] | None = None

    def piece(self, number: int, progress: Progress) -> FloatArray:
        """Return the places of a piece's pairs in their chunk, and their logits: [2, n]."""
        chunk = self._work.group(number)
        batches = self._batches(chunk)
        first = PIECE_BATCHES * (number - self._work.pieces(chunk).start)
        told = one_at_a_time(progress)
        tasks = [
            partial(batches.score, slice(place, place + 1), told)
            for place in range(first, min(first + PIECE_BATCHES, len(batches)))
        ]
        rows, scores = zip(*in_lanes(self._scorer, tasks), strict=True)
        return np.stack([np.concatenate(rows).astype(np.float64), np.concatenate(scores)])

    def _batches(self, chunk: int) -> Batches:
        if self._chunk is None or self._chunk[0] != chunk:
            (found,) = in_lanes(self._scorer, [lambda: self._scorer.batches(self._pairs_of(chunk))])
            self._chunk = chunk, found
        return self._chunk[1]


def in_lanes(scorer: Scorer, tasks: Sequence[Callable[[], Result]]) -> list[Result]:
    """Do tasks of a scorer side by side where it computes on the CPU; see `side_by_side`."""
    if scorer.system.device.type == "cpu":
        return side_by_side(tasks)
    return [task() for task in tasks]


def one_at_a_time(progress: Progress) -> Progress:
    """Return what passes on what several threads tell, one after the other."""
    lock = Lock()

    def tell(count: int) -> None:
        with lock:
            progress(count)

    return tell
