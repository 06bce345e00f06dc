"""A toy world whose right answer is known: two groups of users like two groups of items."""

from functools import cache

import numpy as np

from corarec.cf.data import FitData, TrainingPairs
from corarec.cf.feedback import Feedback
from corarec.data.history import DAY, KnowledgePolicy
from corarec.data.vocabulary import Vocabulary
from corarec.types import Histories, IntArray, Log, Pairs

NUM_USERS, NUM_ITEMS, ROWS_PER_USER = 30, 24, 18
TRAIN, VALID, TEST = 0, 1, 2

Rows = dict[str, IntArray]


def pairs_of(
    users: list[int],
    items: list[int],
    histories: list[list[int]] | None = None,
    own_labels: list[float] | None = None,
) -> Pairs:
    """Build pairs from lists: user ids, item ids, histories, own labels."""
    pairs = Pairs(
        np.array(users, dtype=np.int64),
        np.array(items, dtype=np.int64),
        Histories.from_lists(histories or [[] for _ in users]),
    )
    return pairs if own_labels is None else TrainingPairs.of(pairs, np.array(own_labels))


def all_pairs(rows: Rows, policy: str = "train") -> Pairs:
    """Build pairs of rows ordered by user, then time; every row sees its user's likes before it."""
    users, items, labels = rows["user"], rows["item"], rows["label"]
    before = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(labels)[:-1]])
    histories = Histories(items[labels == 1], before[np.searchsorted(users, users)], before)
    own_labels = np.where(rows["part"] == TRAIN, labels, np.nan)
    known = KnowledgePolicy.model_validate(policy)
    until = known.known_until(rows["time"], rows["part"] == TRAIN)
    pairs = Pairs(users, items, histories, times=rows["time"], known_until=until)
    return TrainingPairs.of(pairs, own_labels, log_of(rows, policy))


def log_of(rows: Rows, policy: str) -> Log:
    """Return the rows whose labels may become known under a policy."""
    some = np.flatnonzero((rows["part"] == TRAIN) | (policy == "streaming"))
    users, items, labels, times = (rows[name][some] for name in ("user", "item", "label", "time"))
    return Log(users, items, labels, times, np.full(len(some), np.nan))


@cache
def world_rows() -> Rows:
    """Two thirds of every user's rows train, then three validation rows, then three test rows.

    Users and items of even id form one group, those of odd id the other. The last user and the last
    item occur in no row. Each user has a row every ten days, all of them at the same seconds.
    """
    random = np.random.default_rng(0)
    users = np.repeat(np.arange(1, NUM_USERS), ROWS_PER_USER)
    items = [1 + random.permutation(NUM_ITEMS - 1)[:ROWS_PER_USER] for _ in range(1, NUM_USERS)]
    item = np.concatenate(items)
    place = np.tile(np.arange(ROWS_PER_USER), NUM_USERS - 1)
    return {
        "user": users,
        "item": item,
        "label": (users % 2 == item % 2).astype(np.int64),
        "part": np.digitize(place, [12, 15]),
        "time": place * 10 * DAY,
    }


@cache
def checkerboard(policy: str = "train") -> FitData:
    """Training and validation rows of the toy world, under a knowledge policy."""
    rows = world_rows()
    pairs, labels = all_pairs(rows, policy), rows["label"]
    train = np.flatnonzero(rows["part"] == TRAIN)
    valid = np.flatnonzero(rows["part"] == VALID)
    return FitData(
        pairs.take(train),
        labels[train],
        pairs.take(valid),
        labels[valid],
        NUM_USERS,
        NUM_ITEMS,
        Vocabulary([f"u{user}" for user in range(1, NUM_USERS + 1)]),
        Vocabulary([f"i{item}" for item in range(1, NUM_ITEMS + 1)]),
        policy=KnowledgePolicy.model_validate(policy),
        log=log_of(rows, policy),
    )


def held_out(policy: str = "train") -> tuple[Pairs, IntArray]:
    """Test rows of the toy world and their labels."""
    rows = np.flatnonzero(world_rows()["part"] == TEST)
    return all_pairs(world_rows(), policy).take(rows), world_rows()["label"][rows]


def train_rows() -> dict[int, list[tuple[int, int]]]:
    """Return the items and labels of every user's training rows."""
    rows = world_rows()
    found: dict[int, list[tuple[int, int]]] = {}
    for place in np.flatnonzero(rows["part"] == TRAIN).tolist():
        told = int(rows["item"][place]), int(rows["label"][place])
        found.setdefault(int(rows["user"][place]), []).append(told)
    return found


def everything(users: list[int]) -> Pairs:
    """Return the pairs of some users and all items of the world."""
    items = list(range(1, NUM_ITEMS))
    return pairs_of([user for user in users for _ in items], items * len(users))


def feedback_of(
    told: dict[int, list[tuple[int, int]]], *, fitted: bool | list[bool] = False
) -> Feedback:
    """Return what users told of items, as (item, label).

    `fitted` says whether that was in the fit, of all or of the first rows.
    """
    users = np.array(sorted(told), dtype=np.int64)
    rows = [(user, *pair) for user in users.tolist() for pair in told[user]]
    columns = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    user_ids, items, labels = columns
    count = len(rows)
    times, stars = np.full(count, 10**9), np.full(count, np.nan)
    in_fit = np.zeros(count, dtype=np.bool_)
    first = [fitted] * count if isinstance(fitted, bool) else fitted
    in_fit[: len(first)] = first
    world = world_rows()
    liked = world["item"][(world["part"] == TRAIN) & (world["label"] == 1)]
    return Feedback(
        users,
        Log(user_ids, items, labels, times, stars),
        in_fit,
        np.ones(count, dtype=np.bool_),
        np.bincount(liked, minlength=NUM_ITEMS + 1),
        int(users.max()),
    )
