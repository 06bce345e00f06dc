"""What a run scores, as work that other processes understand."""

from abc import abstractmethod
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from corarec.data import Split
from corarec.errors import ArtifactError
from corarec.score.pieces import OpenPairs, ScoredPairs
from corarec.score.table import PairTable
from corarec.types import Config, FloatArray, Pairs
from corarec.workers.crews import Hands
from corarec.workers.parts import Parts
from corarec.workers.pieces import OpenWork, Progress, Work, do_pieces

if TYPE_CHECKING:
    from corarec.runs.run import Run


class RunPlace(Config):
    """Where a run is, and which."""

    folder: Path
    data: Path | None
    """Its dataset; None for a packed run without one."""
    identity: str

    def open(self) -> "Run":
        """Open the run.

        Raises
        ------
        ArtifactError
            It is no longer the same, or as `load_run`.
        """
        from corarec.runs.run import load_run

        run = load_run(self.folder, self.data)
        if run.identity != self.identity:
            raise ArtifactError(
                f"{self.folder} was changed while it was scored: it is being trained, perhaps. "
                "Give the same command again."
            )
        return run


class RunWork(Work):
    """A work that a run does."""

    run: RunPlace

    def open(self) -> OpenWork:
        """Open the run."""
        return self.of(self.run.open())

    @abstractmethod
    def of(self, run: "Run") -> OpenWork:
        """Return the work of a run that is open."""


class TableWork(ScoredPairs, RunWork):
    """The pairs of a table, with all that is known of their users."""

    path: Path
    first_row: int
    origin: Path

    def of(self, run: "Run") -> OpenWork:
        """Return the work of a run that is open."""
        table = PairTable(self.path, self.rows, self.first_row, self.origin)

        def pairs_of(chunk: int) -> Pairs:
            first = chunk * self.chunk_pairs
            return table.pairs(run.directory, first, self.chunk_rows(chunk))

        return OpenPairs(self, run.scorer, pairs_of)


class SplitWork(ScoredPairs, RunWork):
    """The pairs of a split, each with what was known before it."""

    split: Split

    def of(self, run: "Run") -> OpenWork:
        """Return the work of a run that is open."""
        pairs = run.dataset.pairs(self.split)

        def pairs_of(chunk: int) -> Pairs:
            first = chunk * self.chunk_pairs
            return pairs.take(slice(first, first + self.chunk_pairs))

        return OpenPairs(self, run.scorer, pairs_of)


def do_work(
    run: "Run",
    work: RunWork,
    parts: Parts,
    hands: Hands,
    progress: Progress | None,
    finished: Collection[int] = (),
) -> Iterator[int]:
    """Do the pieces of a work with a run, in this process or others; see `do_pieces`."""
    who = work.of(run) if hands.here else hands.crew(work, parts.folder)
    return do_pieces(work, parts, who, progress or (lambda count: None), finished)


def score_chunks(
    run: "Run",
    work: TableWork | SplitWork,
    parts: Parts,
    hands: Hands,
    progress: Progress | None,
    finished: Collection[int] = (),
    *,
    keep: bool,
) -> Iterator[tuple[int, FloatArray]]:
    """Score the chunks of a work but for the finished ones; yield the number and logits of each.

    Without `keep` the pieces of a chunk go when it was taken: who goes on with the next one keeps
    them itself.
    """
    before = [number for chunk in finished for number in work.pieces(chunk)]
    left = Counter({chunk: len(work.pieces(chunk)) for chunk in range(work.chunks)})
    for number in do_work(run, work, parts, hands, progress, before):
        chunk = work.group(number)
        left[chunk] -= 1
        if not left[chunk] and chunk not in finished:
            yield chunk, work.together(chunk, parts.read)
            for piece in () if keep else work.pieces(chunk):
                parts.forget(piece)
