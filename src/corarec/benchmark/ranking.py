"""A run's order of the whole catalogue, measured beside its CF model and popularity."""

from collections.abc import Callable
from functools import partial

import numpy as np

from corarec.benchmark.results import write_ranking
from corarec.benchmark.test_log import log_test_evaluation
from corarec.benchmark.unseen import RankedSplit, UnseenItems
from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.evaluate import (
    BootstrapConfig,
    RankingConfig,
    RankingTable,
    compare_rankings,
    evaluate_ranking,
    rank_users,
)
from corarec.runs import Run
from corarec.types import IntArray

POPULARITY = "Popularity"
PERFECT = "Perfect order of the candidates"


def rank_run(
    run: Run,
    split: RankedSplit,
    *,
    candidates: int = 100,
    max_users: int | None = None,
    seed: int = 0,
    config: RankingConfig | None = None,
    bootstrap: BootstrapConfig | None = None,
    progress: Callable[[int], None] | None = None,
) -> RankingTable:
    """Rank all items that a user had not seen before the split, and keep the metrics.

    The CF model orders the catalogue and the run its first `candidates`, as `recommend` does, so
    the metrics can rise no higher than the candidates allow; the last row says how high. A system
    that scores all items at once orders all of them. Right
    answers are the items that the user likes in the split.

    Writes `results/SPLIT-ranking.json`; a look at the test split is added to the run's
    `test_evaluations.jsonl`.

    Parameters
    ----------
    max_users, seed
        As in `ranked_users`.
    progress
        Called with the number of pairs just scored.

    Raises
    ------
    ConfigError
        There are no candidates.
    """
    if candidates < 1:
        raise ConfigError(f"candidates is {candidates}; wanted is at least 1 item to put in order.")
    if run.scorer.scores_catalogues:
        candidates = run.dataset.num_items
    unseen = UnseenItems(run.dataset, split, run.cf, candidates)
    users = ranked_users(run.dataset, split, max_users, seed)
    system: str = run.config.system.name
    orders: dict[str, Callable[[int], IntArray]] = {
        system: partial(unseen.reranked, run.scorer, progress=progress)
    }
    if run.cf is not None:
        orders[f"{run.cf.name} alone"] = unseen.collaborative
    beside = {POPULARITY: unseen.popular, PERFECT: unseen.perfect}
    rankings = {
        name: rank_users(partial(unseen.scores, order), users, unseen.seen, unseen.relevant, config)
        for name, order in (orders | beside).items()
    }
    evaluations = {
        name: evaluate_ranking(ranked, name, config=bootstrap) for name, ranked in rankings.items()
    }
    result = RankingTable(
        dataset=run.dataset.card.name,
        split=split,
        items=run.dataset.num_items,
        candidates=candidates,
        systems=[evaluations[name] for name in orders],
        references=[evaluations[name] for name in beside],
        comparisons=[
            compare_rankings(rankings[system], rankings[other], (system, other), config=bootstrap)
            for other in rankings
            if other not in (system, PERFECT)
        ],
    )
    if split == "test":
        log_test_evaluation(run.folder, evaluations[system])
    write_ranking(run.folder, result)
    return result


def ranked_users(
    dataset: Dataset, split: RankedSplit, max_users: int | None = None, seed: int = 0
) -> IntArray:
    """Return the users who like something in a split, or so many of them, drawn by a seed: [N]."""
    rows = dataset.pairs(split)
    users = np.unique(rows.user_ids[dataset.labels(split) == 1])
    if max_users is None or max_users >= len(users):
        return users
    return np.sort(np.random.default_rng(seed).choice(users, max_users, replace=False))
