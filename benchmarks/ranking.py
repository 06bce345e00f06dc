"""The whole catalogue ranked by popularity, candidate models, runs, and what joins them.

    corarec prepare movielens --input ml-1m --output data/ml-1m --split collm-ml1m
    python benchmarks/ranking.py data/ml-1m --output ranking_ml1m
    python benchmarks/ranking.py data/ml-1m --run runs/cora-als --output ranking_ml1m_runs

Every candidate model is fitted with its defaults (or was by `corarec fit-cf`: `--cf FOLDER`) and
ranked alone and joined with popularity; with `--run` so is every run, which puts the first 100
items of its own CF model into a new order. Weights are learned on validation, and the test split
is ranked once. Each joined row is tested against the best of its parts (by validation), the CF
model and popularity, paired over users.
Written to benchmarks/results/NAME.json; looks at test are logged beside it.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from corarec.benchmark.joining import ALONE, learn_order
from corarec.benchmark.ranking import POPULARITY, RECENT, ranked_users
from corarec.benchmark.test_log import log_test_evaluation
from corarec.benchmark.unseen import UnseenItems
from corarec.cf import FitConfig, VectorSource, fit_cf, load_cf
from corarec.data import Dataset
from corarec.evaluate import (
    BootstrapConfig,
    RankingConfig,
    UserRankings,
    compare_rankings,
    evaluate_ranking,
    rank_users,
)
from corarec.files import write_json
from corarec.provenance import provenance
from corarec.runs import load_run
from corarec.score.joined import HISTORY, LAST, NO_HISTORY, PARTS, GroupOrder
from corarec.score.scorer import Scorer
from corarec.types import IntArray

RESULTS = Path(__file__).parent / "results"
MODELS = ("ease", "item-knn", "sasrec-ce", "als", "mf-b", "lightgcn")
CUTOFFS = RankingConfig(cutoffs=(10, 20))
BOOTSTRAP = BootstrapConfig(draws=2000)
CANDIDATES = 100
console = Console(stderr=True)


class Ranked:
    """Rankings of one dataset for the same users."""

    def __init__(self, dataset: Dataset, users: int | None, valid_users: int | None) -> None:
        self.dataset = dataset
        self.users = ranked_users(dataset, "test", users)
        self.valid_users = valid_users
        self.rankings: dict[str, UserRankings] = {}
        self.orders: dict[str, Any] = {}
        self.rivals: list[tuple[str, str]] = []
        plain = UnseenItems(dataset, "test", None, CANDIDATES)
        self.add(POPULARITY, plain, plain.popular)
        self.add(RECENT, plain, plain.recent)

    def add(self, name: str, unseen: UnseenItems, order: Callable[[int], IntArray]) -> None:
        """Rank the test split in an order."""
        console.print(f"{name} ...")
        self.rankings[name] = rank_users(
            partial(unseen.scores, order),
            self.users,
            unseen.seen,
            unseen.relevant,
            CUTOFFS,
            self.dataset.popularity,
        )

    def add_all(self, name: str, cf: VectorSource | None, scorer: Scorer | None = None) -> None:
        """Rank with a candidate model, with a run over it, and with what joins them."""
        score = None if scorer is None else scorer.score_items
        groups = learn_order(
            self.dataset, cf, score, candidates=CANDIDATES, max_users=self.valid_users
        )
        unseen = UnseenItems(self.dataset, "test", cf, CANDIDATES)
        alone = name
        if cf is not None and scorer is not None:
            alone = f"{name}, its {cf.name} alone"
        self.add(alone, unseen, unseen.collaborative)
        if scorer is not None:
            self.add(name, unseen, partial(unseen.reranked, scorer))
        self.add(f"{name}, its perfect order", unseen, unseen.perfect)
        joined = f"{name}, joined"
        self.add(joined, unseen, partial(unseen.joined, scorer, groups))
        self.orders[name] = {group: order.model_dump() for group, order in groups.items()}
        parts = {POPULARITY: "popularity", RECENT: "recent popularity", alone: "the CF model"}
        last = {f"{alone}{PARTS[part].removeprefix('its CF model')}": part for part in LAST}
        if cf is not None and cf.reads_history:
            parts |= {of_last: ALONE[part] for of_last, part in last.items()}
        whole = {
            part: np.average(
                [order.validation.get(key, 0.0) for order in groups.values()],
                weights=[order.users for order in groups.values()],
            )
            for part, key in parts.items()
        }
        best = max(whole, key=lambda part: whole[part])
        if best in last:
            order = _of_part(last[best])
            self.add(
                best, unseen, partial(unseen.joined, None, {HISTORY: order, NO_HISTORY: order})
            )
        self.rivals += [(joined, rival) for rival in dict.fromkeys((best, POPULARITY, alone))]
        if scorer is not None:
            self.rivals.append((joined, name))

    def result(self) -> dict[str, Any]:
        """Return all metrics, of all users and of those with and without a history, and tests."""
        ids = self.rankings[POPULARITY].user_ids.tolist()
        unseen = UnseenItems(self.dataset, "test", None, CANDIDATES)
        known = np.array([len(unseen.context(user).liked) > 0 for user in ids])
        groups = {"all": np.ones(len(known), dtype=np.bool_), HISTORY: known, NO_HISTORY: ~known}
        measured: dict[str, Any] = {}
        tests: dict[str, Any] = {}
        for group, some in groups.items():
            if not some.any():
                continue
            part = {
                name: ranked.of(some, self.dataset.num_items)
                for name, ranked in self.rankings.items()
            }
            measured[group] = [
                evaluate_ranking(ranked, name, config=BOOTSTRAP) for name, ranked in part.items()
            ]
            tests[group] = [
                compare_rankings(part[first], part[second], (first, second), config=BOOTSTRAP)
                for first, second in self.rivals
            ]
        for evaluation in measured["all"]:
            if not evaluation.name.endswith("perfect order"):
                log_test_evaluation(RESULTS, evaluation)
        return {
            "dataset": self.dataset.card.name,
            "rule": self.dataset.card.split,
            "items": self.dataset.num_items,
            "candidates": CANDIDATES,
            "orders": self.orders,
            "systems": {
                group: [each.model_dump(mode="json") for each in of]
                for group, of in measured.items()
            },
            "comparisons": {
                group: [each.model_dump(mode="json") for each in of] for group, of in tests.items()
            },
        }


def _of_part(part: str) -> GroupOrder:
    """Return the order of one part alone."""
    weights = {part: 1.0}
    return GroupOrder(
        users=0, learned_from=0, chosen=part, first=weights, then=weights, validation={}
    )


def main() -> None:
    """Rank, measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--run", type=Path, action="append", default=[])
    parser.add_argument("--cf", type=Path, action="append", default=[])
    parser.add_argument("--model", action="append", help=f"of {', '.join(MODELS)}")
    parser.add_argument("--users", type=int, help="ranked for, drawn by seed 0")
    parser.add_argument("--valid-users", type=int, default=500)
    parser.add_argument("--output", required=True)
    arguments = parser.parse_args()
    ranked = Ranked(Dataset.load(arguments.data), arguments.users, arguments.valid_users)
    for folder in arguments.run:
        run = load_run(folder, arguments.data)
        ranked.add_all(folder.name, run.cf, run.scorer)
    for folder in arguments.cf:
        fitted = load_cf(folder, ranked.dataset.fingerprint)
        ranked.add_all(fitted.name, VectorSource(fitted, ranked.dataset))
    others = () if arguments.run or arguments.cf else MODELS
    for name in arguments.model or others:
        model, report = fit_cf(ranked.dataset, FitConfig(model=name))
        console.print(f"{name}: fitted in {report.seconds:.0f} s")
        ranked.add_all(name, VectorSource(model, ranked.dataset))
    write_json(RESULTS / f"{arguments.output}.json", ranked.result() | {"provenance": provenance()})


if __name__ == "__main__":
    main()
