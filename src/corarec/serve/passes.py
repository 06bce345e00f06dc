"""Forward passes: what several requests want scored goes through the model together."""

import time
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from corarec.score.batches import by_length, score_passes
from corarec.score.context import Context
from corarec.score.scorer import Scorer
from corarec.serve.jobs import Ask, Job
from corarec.serve.metrics import Metrics
from corarec.types import IntArray, Pairs

SLICE = 128
"""Items of one person that are scored in one step."""
FIRST_TOKENS = 128.0
"""Tokens of a pair, as long as none was seen."""


class Knows(Protocol):
    """What the scoring thread needs of the run that it serves."""

    @property
    def scorer(self) -> Scorer:
        """What scores pairs."""

    @property
    def new_titles(self) -> Sequence[str]:
        """Titles of the items that were added, `I + 1` the first."""

    @property
    def first_free(self) -> int:
        """The number of the first title that stands behind `new_titles`."""

    def join(self, parts: Sequence[tuple[Context, IntArray]]) -> Pairs:
        """Return the pairs of several people, one after the other."""


class Passes:
    """Scores what jobs want, in passes within a budget of tokens; of the scoring thread."""

    def __init__(self, live: Knows, metrics: Metrics, batch_tokens: int) -> None:
        self.live = live
        self._metrics = metrics
        self._batch_tokens = batch_tokens
        self._tokens = FIRST_TOKENS
        self.rate = 0.0
        """Pairs per second, as of the last passes; 0 before the first."""

    def slice(self, job: Job) -> None:
        """Score the next items of one person, by the way that reads their common prompt once."""
        ask = job.wanted
        assert isinstance(ask, Ask)
        ((context, items),) = ask.parts
        whole = self.live.scorer.scores_catalogues
        end = len(items) if whole else min(len(items), job.done + SLICE)
        chosen = _numbered(items[job.done : end], self.live.first_free)
        titles = self._titles([(context, chosen)], ask.titles)
        started = time.monotonic()
        found = self.live.scorer.score_items(context, chosen, new_titles=titles)
        job.scores[job.done : end] = found
        job.done = end
        self.measure(len(found), None, time.monotonic() - started)

    def shared_out(self, jobs: Sequence[Job]) -> dict[Job, int]:
        """Return how many scores of each job about one forward pass holds, the first ones first."""
        room = max(1, int(self._batch_tokens / self._tokens))
        share = max(1, room // len(jobs))
        taken = {job: min(share, len(job.scores) - job.done) for job in jobs}
        left = room - sum(taken.values())
        for job in jobs:
            if left <= 0:
                break
            more = min(left, len(job.scores) - job.done - taken[job])
            taken[job] += more
            left -= more
        return dict(list(taken.items())[:room])

    def score(self, taken: dict[Job, int]) -> None:
        """Put the next scores of some jobs in their places."""
        own: list[str] = []
        parts: list[tuple[Context, IntArray]] = []
        owners: list[tuple[Job, int]] = []
        for job, count in taken.items():
            assert isinstance(job.wanted, Ask)
            free = self.live.first_free + len(own)
            own += job.wanted.titles
            wanted = job.rows()[job.done : job.done + count]
            owners += [(job, place) for place in range(job.done, job.done + count)]
            for context, item in wanted:
                parts.append((context, _numbered(np.array([item]), free)))
        pairs = self.live.join(parts)
        titles = self._titles(parts, own)
        system = self.live.scorer.system
        examples = system.inputs(pairs, titles)
        self._tokens = 0.9 * self._tokens + 0.1 * float(np.mean(examples.lengths))
        order = getattr(system, "scoring_order", by_length)(examples)
        for rows in self._cut(order, examples.lengths):
            alive = [row for row in rows if not owners[row][0].future.done()]
            if not alive:
                continue
            at = np.array(alive, dtype=np.int64)
            started = time.monotonic()
            batch = (np.arange(len(at)), examples.batch(at))
            found = score_passes(system, [batch], pairs.take(at))
            tokens = int(examples.lengths[at].max()) * len(at)
            self.measure(len(at), tokens, time.monotonic() - started)
            for row, score in zip(alive, found.tolist(), strict=True):
                job, place = owners[row]
                job.scores[place] = score

    def _titles(
        self, parts: Sequence[tuple[Context, IntArray]], own: Sequence[str]
    ) -> Sequence[str]:
        """Return the titles beyond the catalogue; none where nothing has to do with one.

        A system that scores its whole catalogue at once does so only without them.
        """
        first = self.live.first_free - len(self.live.new_titles)
        for context, items in parts:
            for numbers in (items, context.liked, context.disliked):
                if numbers.max(initial=0) >= first:
                    return [*self.live.new_titles, *own]
        return ()

    def _cut(self, order: IntArray, lengths: IntArray) -> list[list[int]]:
        """Return batches of rows in the order of scoring, each within the budget of tokens."""
        batches: list[list[int]] = []
        longest = 0
        for row in order.tolist():
            length = int(lengths[row])
            longest = max(longest, length)
            if not batches or (len(batches[-1]) + 1) * longest > self._batch_tokens:
                batches.append([])
                longest = length
            batches[-1].append(row)
        return batches

    def measure(self, pairs: int, tokens: int | None, seconds: float) -> None:
        """Count pairs that were scored."""
        self._metrics.batch_pairs.observe(pairs)
        if tokens is not None:
            self._metrics.batch_tokens.observe(tokens)
        self._metrics.scored.inc(pairs)
        self._metrics.scoring_seconds.observe(seconds)
        rate = pairs / max(seconds, 1e-6)
        self.rate = rate if not self.rate else 0.8 * self.rate + 0.2 * rate


def _numbered(items: IntArray, free: int) -> IntArray:
    """Return item ids where `-1`, `-2`, ... stand for `free`, `free + 1`, ..."""
    return np.where(items < 0, free - 1 - items, items)
