"""A run's order of the whole catalogue, measured beside its CF model and popularity."""

from collections.abc import Callable
from functools import partial

import numpy as np

from corarec.benchmark.results import RESULTS, write_ranking
from corarec.benchmark.test_log import log_test_evaluation
from corarec.benchmark.unseen import RankedSplit, UnseenItems
from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.evaluate import (
    BootstrapConfig,
    RankingConfig,
    RankingPart,
    RankingTable,
    UserRankings,
    compare_rankings,
    evaluate_ranking,
    rank_users,
)
from corarec.runs import Run
from corarec.runs.work import RunWork, do_work
from corarec.score.joined import HISTORY, NO_HISTORY, Group, GroupOrder
from corarec.score.pieces import in_lanes, one_at_a_time
from corarec.types import PADDING_ID, BoolArray, FloatArray, IntArray
from corarec.workers.crews import HERE, Hands
from corarec.workers.parts import Parts
from corarec.workers.pieces import Progress

JOINED = "joined"
POPULARITY = "Popularity"
RECENT = "Recent popularity"
PERFECT = "Perfect order of the candidates"
PIECE_USERS = 16
"""Users whose candidates are put in order in one piece of the work."""


def rank_run(
    run: Run,
    split: RankedSplit,
    *,
    candidates: int = 100,
    max_users: int | None = None,
    seed: int = 0,
    config: RankingConfig | None = None,
    bootstrap: BootstrapConfig | None = None,
    hands: Hands = HERE,
    progress: Callable[[int], None] | None = None,
) -> RankingTable:
    """Rank all items that a user had not seen before the split, and keep the metrics.

    The CF model orders the catalogue and the run its first `candidates`, as `recommend` does, so
    the metrics can rise no higher than the candidates allow; the last row says how high. A system
    that scores all items at once orders all of them. Right answers are the items that the user
    likes in the split. Where weights were learned (`learn_ranking`), the joined order stands first.

    Writes `results/SPLIT-ranking.json`; a look at the test split is added to the run's
    `test_evaluations.jsonl`.

    Parameters
    ----------
    max_users, seed
        As in `ranked_users`.
    hands
        How many processes rank; the orders are the same however many. What is done stays in
        `results/SPLIT-ranking.parts` until all is.
    progress
        Called with the number of pairs just scored.

    Raises
    ------
    ConfigError
        There are no candidates.
    """
    if candidates < 1:
        raise ConfigError(f"candidates is {candidates}; wanted is at least 1 item to put in order.")
    if run.scores_catalogues:
        candidates = run.dataset.num_items
    users = ranked_users(run.dataset, split, max_users, seed)
    work = RankingWork(
        run=run.place,
        split=split,
        candidates=candidates,
        max_users=max_users,
        seed=seed,
        users=len(users),
        each=min(candidates, run.dataset.num_items) * (1 if run.joined is None else 2),
        groups=None if run.joined is None else run.joined.groups,
    )
    output = run.folder / RESULTS / f"{split}-ranking"
    owner = run.owner | work.model_dump(mode="json", exclude={"run"}) | {"piece": PIECE_USERS}
    with Parts.held(output, f"The ranking of {run.folder} for {split}", owner) as parts:
        for _ in do_work(run, work, parts, hands, progress):
            pass
        return _measured(run, work, users, Heads(parts, users), config, bootstrap)


class Heads:
    """The candidates of users in new orders, as the parts of a ranking keep them."""

    def __init__(self, parts: Parts, users: IntArray) -> None:
        self._parts = parts
        self._places = {user: place for place, user in enumerate(users.tolist())}
        self._piece: tuple[int, FloatArray] | None = None

    def __call__(self, which: int, user_id: int) -> IntArray:
        """Return the items of a user in the order of the system (0) or the joined one (1): [C]."""
        number, row = divmod(self._places[user_id], PIECE_USERS)
        if self._piece is None or self._piece[0] != number:
            self._piece = number, self._parts.read(number)
        items = self._piece[1][row, which].astype(np.int64)
        return items[items != PADDING_ID]


class RankingWork(RunWork):
    """Users for whom a run puts candidates in order.

    A piece gives the items of its users in the new orders, that of the system and, where one was
    learned, the joined one: [users, orders, candidates], 0 behind the last.
    """

    split: RankedSplit
    candidates: int
    max_users: int | None
    seed: int
    users: int
    """How many users."""
    each: int
    """About how many pairs are scored for each."""
    groups: dict[Group, GroupOrder] | None
    """How the run is joined with other parts, where that was learned."""

    @property
    def count(self) -> int:
        """How many pieces there are."""
        return -(-self.users // PIECE_USERS)

    def size(self, number: int) -> int:
        """Return how many pairs a piece has."""
        return self.each * min(PIECE_USERS, self.users - number * PIECE_USERS)

    def of(self, run: Run) -> "OpenRanking":
        """Return the work of a run that is open."""
        return OpenRanking(self, run)


class OpenRanking:
    """Users for whom candidates are being put in order."""

    def __init__(self, work: RankingWork, run: Run) -> None:
        self._unseen = UnseenItems(run.dataset, work.split, run.cf, work.candidates)
        self._users = ranked_users(run.dataset, work.split, work.max_users, work.seed)
        self._groups = work.groups
        self._ranker = run.scorer
        first = self._users[:PIECE_USERS].tolist()
        asked = ((self._unseen.context(user), self._unseen.chosen(user)) for user in first)
        in_lanes(self._ranker, [lambda: self._ranker.settle(asked)])

    def piece(self, number: int, progress: Progress) -> FloatArray:
        """Return the candidates of a piece's users in the new orders: [B, orders, C]."""
        orders = [partial(self._unseen.reranked, self._ranker)]
        if self._groups is not None:
            orders.append(partial(self._unseen.joined, self._ranker, self._groups))
        users = self._users[number * PIECE_USERS :][:PIECE_USERS].tolist()
        size = (len(users), len(orders), self._unseen.candidates)
        heads = np.full(size, PADDING_ID, dtype=np.float64)
        told = one_at_a_time(progress)

        def fill(row: int) -> None:
            for which, order in enumerate(orders):
                head = order(users[row], told)[: self._unseen.candidates]
                heads[row, which, : len(head)] = head

        in_lanes(self._ranker, [partial(fill, row) for row in range(len(users))])
        return heads


def _measured(
    run: Run,
    work: RankingWork,
    users: IntArray,
    heads: Heads,
    config: RankingConfig | None,
    bootstrap: BootstrapConfig | None,
) -> RankingTable:
    """Measure the orders of a run beside others, and keep all of it."""
    split, candidates = work.split, work.candidates
    unseen = UnseenItems(run.dataset, split, run.cf, candidates)
    system: str = run.config.system.name
    orders: dict[str, Callable[[int], IntArray]] = {}
    if work.groups is not None:
        joined = partial(unseen.joined, None, work.groups)
        orders[JOINED] = partial(unseen.headed, partial(heads, 1), joined)
    orders[system] = partial(unseen.headed, partial(heads, 0), unseen.collaborative)
    if run.cf is not None:
        orders[f"{run.cf.name} alone"] = unseen.collaborative
    beside = {POPULARITY: unseen.popular, RECENT: unseen.recent, PERFECT: unseen.perfect}
    popularity = run.dataset.popularity
    rankings = {
        name: rank_users(
            partial(unseen.scores, order), users, unseen.seen, unseen.relevant, config, popularity
        )
        for name, order in (orders | beside).items()
    }
    everyone = compared(rankings, list(beside), bootstrap)
    known = np.array([len(unseen.context(user).liked) > 0 for user in rankings[system].user_ids])
    result = RankingTable(
        dataset=run.dataset.card.name,
        split=split,
        items=run.dataset.num_items,
        candidates=candidates,
        **dict(everyone),
        parts=parts_of(rankings, list(beside), known, run.dataset.num_items, bootstrap),
    )
    if split == "test":
        log_test_evaluation(
            run.folder, next(each for each in result.systems if each.name == system)
        )
    write_ranking(run.folder, result)
    return result


def compared(
    rankings: dict[str, UserRankings], beside: list[str], bootstrap: BootstrapConfig | None
) -> RankingPart:
    """Measure rankings, those named in `beside` as references, and test the first against others.

    The perfect order is no rival.
    """
    evaluations = {
        name: evaluate_ranking(ranked, name, config=bootstrap) for name, ranked in rankings.items()
    }
    lead = next(iter(rankings))
    return RankingPart(
        systems=[evaluations[name] for name in rankings if name not in beside],
        references=[evaluations[name] for name in beside],
        comparisons=[
            compare_rankings(rankings[lead], rankings[other], (lead, other), config=bootstrap)
            for other in rankings
            if other not in (lead, PERFECT)
        ],
    )


def parts_of(
    rankings: dict[str, UserRankings],
    beside: list[str],
    known: BoolArray,
    num_items: int,
    bootstrap: BootstrapConfig | None,
) -> dict[str, RankingPart]:
    """Measure users with a history and those without one apart, where there are both.

    `known: [U]`: who of the users that were ranked for has one.
    """
    if known.all() or not known.any():
        return {}
    return {
        name: compared(
            {each: ranked.of(users, num_items) for each, ranked in rankings.items()},
            beside,
            bootstrap,
        )
        for name, users in ((HISTORY, known), (NO_HISTORY, ~known))
    }


def ranked_users(
    dataset: Dataset, split: RankedSplit, max_users: int | None = None, seed: int = 0
) -> IntArray:
    """Return the users who like something in a split, or so many of them, drawn by a seed: [N]."""
    rows = dataset.pairs(split)
    users = np.unique(rows.user_ids[dataset.labels(split) == 1])
    if max_users is None or max_users >= len(users):
        return users
    return np.sort(np.random.default_rng(seed).choice(users, max_users, replace=False))
