"""Learning on validation how much each part of a run should count in the order of items."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from corarec.benchmark.order_weights import RankedList, fit_weights, search_weights
from corarec.benchmark.ranking import JOINED, ranked_users
from corarec.benchmark.unseen import UnseenItems
from corarec.cf import VectorSource
from corarec.data import Dataset
from corarec.errors import ConfigError, DataError
from corarec.files import write_json
from corarec.provenance import provenance
from corarec.runs import Run
from corarec.runs.layout import RANKING
from corarec.score.context import Context
from corarec.score.joined import (
    CF,
    HISTORY,
    LAST,
    NEW,
    NO_HISTORY,
    PARTS,
    POPULARITY,
    RECENT,
    SYSTEM,
    Group,
    GroupOrder,
    JoinedRanking,
    Signals,
    signals,
)
from corarec.types import BoolArray, FloatArray, IntArray

ScoreItems = Callable[[Context, IntArray], FloatArray]
"""What a system says of items [C] to one person."""

MOST = 2_000
"""Users from whom it is learned how to pick candidates, for which the system is not asked."""
FEWEST = 20
"""Users without whom a group does not have weights of its own."""
FOLDS = 5
GROUPS = (HISTORY, NO_HISTORY)
ALONE = {POPULARITY: "popularity", RECENT: "recent popularity", CF: "the CF model"} | {
    part: PARTS[part].replace("its", "the") for part in LAST
}


def learn_ranking(
    run: Run,
    *,
    candidates: int = 100,
    max_users: int | None = 500,
    seed: int = 0,
    cutoff: int = 10,
    progress: Callable[[int], None] | None = None,
) -> JoinedRanking:
    """Learn on validation how to join a run with its CF model and popularity; its folder keeps it.

    Weights are at least zero, those of a listwise softmax over each user's items, then moved one by
    one where the NDCG rises; first those that pick the candidates, then those that order them; for
    users with a history and without one apart. A CF model that reads histories has a say more than
    once: as it knows the whole of them, and only what was liked last. An order is chosen by its
    NDCG on validation, that of learned weights on users whom they were not learned from. What is
    not above popularity by more than a standard error gives way to popularity, and a system that
    adds no more than that to its candidates leaves these as they are.

    Memory: `KEPT` items of each part, for `MOST` users. The test split is never looked at.

    Parameters
    ----------
    candidates
        How many items the system puts in order.
    max_users, seed
        For whom the system is asked, as in `ranked_users`. How to pick candidates is learned from
        `MOST` users where that is more.
    progress
        Called with the number of pairs just scored.

    Raises
    ------
    ConfigError
        `candidates` or `cutoff` is not positive.
    DataError
        Nobody likes anything new in the validation split.
    """
    if run.scores_catalogues:
        candidates = run.dataset.num_items
    groups = learn_order(
        run.dataset,
        run.cf,
        partial(run.scorer.score_items, progress=progress),
        candidates=candidates,
        max_users=max_users,
        seed=seed,
        cutoff=cutoff,
    )
    joined = JoinedRanking(
        weights_digest=run.parts.weights_digest,
        candidates=candidates,
        cutoff=cutoff,
        groups=groups,
        provenance=provenance({"run": run.config}),
    )
    write_json(run.folder / RANKING, joined.model_dump(mode="json"))
    return joined


def learn_order(
    dataset: Dataset,
    cf: VectorSource | None,
    score: ScoreItems | None,
    *,
    candidates: int,
    max_users: int | None = None,
    seed: int = 0,
    cutoff: int = 10,
) -> dict[Group, GroupOrder]:
    """Learn an order as `learn_ranking` does, with a system or, without `score`, of CF alone.

    Returns
    -------
    By group: users with a history and those without one.
    """
    for name, value in (("candidates", candidates), ("cutoff", cutoff)):
        if value < 1:
            raise ConfigError(f"{name} is {value}; wanted is at least 1.")
    unseen = UnseenItems(dataset, "valid", cf, candidates)
    asked = ranked_users(dataset, "valid", max_users, seed)
    most = max_users if max_users is None or score is None else max(max_users, MOST)
    drawn = np.union1d(asked, ranked_users(dataset, "valid", most, seed)).tolist()
    users = [user for user in drawn if len(unseen.wanted(user))]
    if not users:
        raise DataError(
            f"Nobody likes anything in the validation split of {dataset.card.name} that was not "
            "seen before, so how to join the parts cannot be learned. Prepare a larger validation "
            "split, or go without: `corarec recommend` then orders as the run alone does."
        )
    contexts = [unseen.context(user) for user in users]
    known = np.array([len(context.liked) > 0 for context in contexts])

    of_cf = [] if cf is None else [CF, *(LAST if cf.reads_history else ())]
    parts = [POPULARITY, RECENT, *of_cf, NEW]

    def said_to(place: int) -> Signals:
        return signals(cf, dataset.catalogue, contexts[place], unseen.items(users[place]), parts)

    lists = [RankedList.of(said_to(place), unseen.wanted(user)) for place, user in enumerate(users)]
    options = {ALONE[part]: {part: 1.0} for part in parts if part in ALONE}
    firsts = _by_group(known, lists, parts, dict.fromkeys(GROUPS, options), cutoff)
    thens = firsts
    places = np.flatnonzero(np.isin(users, asked))
    if score is not None and len(places):
        lists, users = [], [users[place] for place in places]
        contexts, known = [contexts[place] for place in places], known[places]
        for place, user in enumerate(users):
            said = said_to(place)
            picked = said.order(firsts[GROUPS[0] if known[place] else GROUPS[1]].weights)
            picked = picked[:candidates]
            scores = score(contexts[place], said.items[picked])
            lists.append(RankedList.of(said.of_candidates(picked, scores), unseen.wanted(user)))
        of_groups = {
            group: {first.name: first.weights, "the system's order of these": {SYSTEM: 1.0}}
            for group, first in firsts.items()
        }
        thens = _by_group(known, lists, [*parts, SYSTEM], of_groups, cutoff)
    return {
        group: GroupOrder(
            users=int(np.count_nonzero(known == (group == HISTORY))),
            learned_from=thens[group].users,
            chosen=thens[group].name,
            first=first.weights,
            then=thens[group].weights,
            validation={_of_candidates(name): value for name, value in first.values.items()}
            | (thens[group].values if score is not None else {}),
        )
        for group, first in firsts.items()
    }


@dataclass(frozen=True)
class _Choice:
    """An order that was chosen among several."""

    name: str
    weights: dict[str, float]
    users: int
    """That it was learned and chosen by."""
    values: dict[str, float]
    """NDCG of each."""


def _by_group(
    known: BoolArray,
    lists: list[RankedList],
    parts: list[str],
    options: Mapping[Group, dict[str, dict[str, float]]],
    cutoff: int,
) -> dict[Group, _Choice]:
    """Choose for users with and without history, by all users where one group is too small."""
    found: dict[Group, _Choice] = {}
    for group, wanted in zip(GROUPS, (True, False), strict=True):
        own = [each for each, has in zip(lists, known, strict=True) if has == wanted]
        found[group] = _choose(own if len(own) >= FEWEST else lists, parts, options[group], cutoff)
    return found


def _choose(
    lists: list[RankedList],
    parts: list[str],
    options: dict[str, dict[str, float]],
    cutoff: int,
) -> _Choice:
    """Return the best order that is above the first by more than a standard error, or the first."""
    fallback = next(iter(options))

    def measured(some: list[RankedList], weights: dict[str, float]) -> FloatArray:
        return np.array([each.ndcg(each.said.sum(weights), cutoff) for each in some])

    def learned(some: list[RankedList]) -> dict[str, float]:
        return search_weights(some, fit_weights(some, parts), cutoff)

    values = {name: measured(lists, weights) for name, weights in options.items()}
    if len(lists) >= FEWEST:
        values[JOINED] = np.empty(len(lists))
        for fold in range(FOLDS):
            others = [each for place, each in enumerate(lists) if place % FOLDS != fold]
            held = measured(lists[fold::FOLDS], learned(others))
            values[JOINED][fold::FOLDS] = held
        options = {**options, JOINED: learned(lists)}
    best = fallback
    for name, each in values.items():
        gain = each - values[fallback]
        clear = gain.mean() > gain.std() / np.sqrt(len(gain))
        # What was learned from all must not be below the fallback on these either.
        holds = (measured(lists, options[name]) - values[fallback]).mean() >= 0
        if len(lists) >= FEWEST and clear and holds and each.mean() > values[best].mean():
            best = name
    means = {name: float(each.mean()) for name, each in values.items()}
    return _Choice(best, options[best], len(lists), means)


def _of_candidates(name: str) -> str:
    return "candidates joined" if name == JOINED else name
