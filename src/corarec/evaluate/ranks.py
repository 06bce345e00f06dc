"""Where the right answers stand in the whole catalogue, without the items a user has seen.

What is right follows from the ranks of the relevant items, for which no list is sorted: the rank
of an item is one plus the unseen items with a larger score. What is shown are the first items. On
equal scores the smaller item id comes first.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field
from scipy.sparse import csr_array

from corarec.errors import DataError
from corarec.evaluate.metrics import (
    COVERAGE,
    NOVELTY,
    RelevantRanks,
    coverage,
    novelty,
    ranking_metrics,
)
from corarec.types import PADDING_ID, BoolArray, Config, FloatArray, IntArray

_BYTES_PER_CHUNK = 64 * 2**20

ScoreCatalogue = Callable[[IntArray], FloatArray]
"""User ids [B] -> scores of the whole catalogue [B, I + 1]; the column of an item is its id."""


class RankingConfig(Config):
    """What is measured, and in which portions."""

    cutoffs: tuple[int, ...] = Field(default=(10, 20, 40, 100), min_length=1)
    """The K of Recall@K, NDCG@K and HR@K."""
    batch_size: int = Field(default=256, ge=1)
    """Users whose catalogue scores are in memory at a time."""


@dataclass(frozen=True)
class UserRankings:
    """The metrics of every user with at least one relevant item."""

    user_ids: IntArray
    """[U]"""
    metrics: dict[str, FloatArray]
    """[U] each, by name: those of `RANKING_METRICS`, such as `recall@10`."""
    users_left_out: int
    """Users without a relevant item that they had not seen."""
    relevant_seen: int
    """Relevant items left out because the user had seen them."""
    first: IntArray
    """[U, K] the first items of each user, of the largest cutoff; 0 where there are fewer"""
    coverage: dict[str, float]
    """Share of the catalogue among the first items of some user, by name: `coverage@10`"""

    def of(self, users: BoolArray, num_items: int) -> "UserRankings":
        """Keep some of the users: [U]."""
        first = self.first[users]
        return replace(
            self,
            user_ids=self.user_ids[users],
            metrics={name: values[users] for name, values in self.metrics.items()},
            first=first,
            coverage=_coverage(first, num_items, self.coverage),
        )


def rank_users(
    score: ScoreCatalogue,
    user_ids: IntArray,
    seen: csr_array,
    relevant: csr_array,
    config: RankingConfig | None = None,
    popularity: IntArray | None = None,
) -> UserRankings:
    """Rank the catalogue for every user, in batches.

    Parameters
    ----------
    score
        Gives the scores of a batch of users; called once per batch.
    user_ids
        [N] the users to rank for, each once.
    seen, relevant
        Two of [U + 1, I + 1]: nonzero where the user of that row has seen the item, and where it
        is a right answer. Items seen and item 0 are never ranked.
    popularity
        [I + 1] likes in train, from which the novelty of what is shown follows; None: not measured.

    Raises
    ------
    DataError
        Scores are not finite or do not have one column per item.
    """
    config = config or RankingConfig()
    rows, ranks = [np.empty(0, dtype=np.int64)], [np.empty(0, dtype=np.int64)]
    shown, largest = [np.empty((0, max(config.cutoffs)), dtype=np.int64)], max(config.cutoffs)
    relevant_seen = 0
    for start in range(0, len(user_ids), config.batch_size):
        batch = user_ids[start : start + config.batch_size]
        blocked = seen[batch].toarray() != 0
        blocked[:, PADDING_ID] = True
        wanted = relevant[batch].toarray() != 0
        relevant_seen += int(np.count_nonzero(wanted & blocked))
        wanted &= ~blocked
        scores = _checked(score(batch), batch, blocked.shape)
        rows_of_batch, ranks_of_batch = relevant_ranks(scores, wanted, blocked)
        rows.append(start + rows_of_batch)
        ranks.append(ranks_of_batch)
        shown.append(first_items(scores[wanted.any(axis=1)], blocked[wanted.any(axis=1)], largest))
    row_of_rank = np.concatenate(rows)
    users = user_ids[np.unique(row_of_rank)]
    found, first = RelevantRanks.of(row_of_rank, np.concatenate(ranks)), np.concatenate(shown)
    metrics = {metric.name: metric.of(found) for metric in ranking_metrics(config.cutoffs)}
    if popularity is not None:
        for cutoff in config.cutoffs:
            metrics[f"{NOVELTY}@{cutoff}"] = novelty(first, popularity, cutoff)
    names = [f"{COVERAGE}@{cutoff}" for cutoff in config.cutoffs]
    return UserRankings(
        user_ids=users,
        metrics=metrics,
        users_left_out=len(user_ids) - len(users),
        relevant_seen=relevant_seen,
        first=first,
        coverage=_coverage(first, seen.shape[1] - 1, names),
    )


def first_items(scores: FloatArray, blocked: BoolArray, count: int) -> IntArray:
    """Return the items with the largest scores that are not blocked: [B, count].

    On equal scores the smaller id comes first; 0 stands where there are no more.
    """
    scores = np.where(blocked, -np.inf, scores)
    found = np.zeros((len(scores), count), dtype=np.int64)
    some = min(count, scores.shape[1])
    for row, values in enumerate(scores):
        least = np.partition(values, len(values) - some)[len(values) - some]
        items = np.flatnonzero((values >= least) & ~blocked[row])
        best = items[np.argsort(-values[items], kind="stable")][:count]
        found[row, : len(best)] = best
    return found


def _coverage(first: IntArray, num_items: int, names: Iterable[str]) -> dict[str, float]:
    return {name: coverage(first, num_items, int(name.partition("@")[2])) for name in names}


def relevant_ranks(
    scores: FloatArray, wanted: BoolArray, blocked: BoolArray
) -> tuple[IntArray, IntArray]:
    """Return the rank (from 1) of every relevant item among the items that are not blocked.

    Parameters
    ----------
    scores, wanted, blocked
        Three of [B, I + 1]; no item is both wanted and blocked.

    Returns
    -------
    rows, ranks
        Two of [R], by row of the batch and then by item.
    """
    scores = np.where(blocked, -np.inf, scores)
    rows, items = np.nonzero(wanted)
    ranks = np.empty(len(rows), dtype=np.int64)
    for chunk in _chunks(len(rows), row_bytes=scores.shape[1] * (scores.itemsize + 1)):
        candidates = scores[rows[chunk]]
        own = scores[rows[chunk], items[chunk]][:, None]
        greater = (candidates > own).sum(axis=1)
        tied = candidates == own
        ranks[chunk] = 1 + greater
        for position in np.flatnonzero(tied.sum(axis=1) > 1):
            ranks[chunk.start + position] += tied[position, : items[chunk.start + position]].sum()
    return rows, ranks


def _checked(scores: FloatArray, batch: IntArray, shape: tuple[int, int]) -> FloatArray:
    if scores.shape != shape:
        raise DataError(
            f"The catalogue scores of {len(batch)} users have shape {scores.shape}; wanted "
            f"{shape}: one row per user and one column per item id, column 0 for padding."
        )
    wrong = np.argwhere(~np.isfinite(scores[:, 1:]))
    if len(wrong):
        row, column = wrong[0]
        raise DataError(
            f"{len(wrong)} catalogue scores are not finite numbers; the first is that of user "
            f"{batch[row]} and item {column + 1}. Look at the model that made them."
        )
    return scores


def _chunks(length: int, row_bytes: int) -> Iterator[slice]:
    size = max(1, _BYTES_PER_CHUNK // row_bytes)
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
