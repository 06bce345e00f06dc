import numpy as np
import torch

from corarec.cf import VectorTable
from corarec.recommenders.shuffled import ShuffledUsers, applied, strangers_of
from corarec.types import FloatArray, Histories, Pairs

TABLE = VectorTable(
    users=torch.tensor([[0.0, 0.0], [3.0, 1.0], [-3.0, 1.0]]),
    items=torch.tensor([[0.0, 0.0], [0.5, 0.0]]),
    user_rows=np.array([0, 1, 2]),
    item_rows=np.array([1, 0, 1]),
)


class Echo:
    """A CF model whose scores and vectors tell who was asked for; user 4 it does not know."""

    def vector_table(self, pairs: Pairs) -> VectorTable:
        users = torch.from_numpy(np.where(pairs.user_ids == 4, 0, pairs.user_ids)).float()[:, None]
        rows = np.arange(len(pairs))
        return VectorTable(users, torch.from_numpy(pairs.item_ids).float()[:, None], rows, rows)

    def score(self, pairs: Pairs) -> FloatArray:
        return (100 * pairs.user_ids + pairs.item_ids).astype(np.float64)


def test_all_that_cf_says_is_said_of_the_donor_but_of_strangers() -> None:
    ids = np.arange(1, 7)
    pairs = Pairs(ids, ids + 10, Histories.from_lists([[] for _ in ids]))
    shuffled = ShuffledUsers(Echo(), pairs, seed=1)
    donors = shuffled.donors(pairs).user_ids
    users, items = shuffled.vector_table(pairs).lookup(np.arange(6))
    wanted = np.where(ids == 4, 0, np.where(donors == 4, 0, donors))
    assert users[:, 0].tolist() == wanted.tolist()
    assert items[:, 0].tolist() == (ids + 10).tolist()
    scores = np.where(ids == 4, 414, 100 * donors + ids + 10)
    assert shuffled.score(pairs).tolist() == scores.tolist()
    assert strangers_of(Echo().vector_table(pairs)).tolist() == (ids == 4).tolist()


def matched() -> VectorTable:
    matches = torch.tensor([[1.0, 2.0, 3.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    return VectorTable(TABLE.users, TABLE.items, TABLE.user_rows, TABLE.item_rows, matches)


def test_shuffling_gives_each_user_the_same_stranger_in_every_table() -> None:
    ids = np.repeat(np.arange(1, 41), 2)
    train = Pairs(ids, np.ones(80, np.int64), Histories.from_lists([[int(i)] for i in ids]))
    shuffle = ShuffledUsers(Echo(), train, seed=1)
    whole = shuffle.donors(train)
    assert sorted(set(whole.user_ids)) == list(range(1, 41))
    assert (whole.user_ids != ids).mean() > 0.8
    assert all(whole.histories[n].tolist() == [whole.user_ids[n]] for n in range(80))
    part = shuffle.donors(train.take(np.array([70, 3])))
    assert part.user_ids.tolist() == whole.user_ids[[70, 3]].tolist()


def test_shuffling_leaves_strangers_strangers_and_items_alone() -> None:
    donated = VectorTable(
        torch.tensor([[7.0, 7.0]]), TABLE.items, np.array([0, 0, 0]), np.array([0, 0, 0])
    )
    table = applied(TABLE, donated)
    users, items = table.lookup(np.array([0, 1, 2]))
    assert users.tolist() == [[0, 0], [7, 7], [7, 7]]
    assert items.tolist() == TABLE.lookup(np.array([0, 1, 2]))[1].tolist()


def test_strangers_get_no_match_of_a_donor() -> None:
    donated = matched()
    table = applied(TABLE, donated)
    assert table.matches is not None
    assert table.matches.tolist() == [[0, 0, 0], [-1, 0, 0], [0, 0, 2]]
