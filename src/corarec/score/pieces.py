"""Long series of pairs in pieces: a few batches of one chunk each, with the bits of the whole."""

from collections.abc import Callable

import numpy as np

from corarec.score.scorer import BATCH_PAIRS, CHUNK_PAIRS, Batches, Progress, Scorer
from corarec.types import FloatArray, Pairs
from corarec.workers.pieces import Work

PIECE_BATCHES = 4


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
        if self._chunk is None or self._chunk[0] != chunk:
            self._chunk = chunk, self._scorer.batches(self._pairs_of(chunk))
        first = PIECE_BATCHES * (number - self._work.pieces(chunk).start)
        rows, scores = self._chunk[1].score(slice(first, first + PIECE_BATCHES), progress)
        return np.stack([rows.astype(np.float64), scores])
