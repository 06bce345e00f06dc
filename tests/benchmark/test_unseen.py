from dataclasses import replace

import numpy as np
import pytest

from corarec.benchmark.unseen import RankedSplit, UnseenItems
from corarec.data import Dataset
from corarec.score.context import Context
from corarec.types import FloatArray, IntArray, Pairs


class Backwards:
    """Likes the item with the smallest id least; stands for a CF model or a recommender."""

    def __init__(self, sign: float = 1.0) -> None:
        self.sign = sign

    def score(self, pairs: Pairs, progress: object = None) -> FloatArray:
        return self.sign * pairs.item_ids.astype(np.float64)

    def score_items(self, context: Context, items: IntArray, progress: object = None) -> FloatArray:
        return self.score(context.pairs(items))


def unseen_items(dataset: Dataset, split: RankedSplit = "test", candidates: int = 6) -> UnseenItems:
    return UnseenItems(dataset, split, Backwards(), candidates)  # type: ignore[arg-type]


def user_of(dataset: Dataset, split: RankedSplit) -> int:
    """Return a user with several rows in a part and some before it."""
    rows = dataset.interactions
    for user in dataset.pairs(split).user_ids.tolist():
        own = rows.filter(rows["user_id"] == user)
        if (own["split"] == split).sum() > 1 and (own["split"] == "valid").sum() > 0:
            return int(user)
    raise AssertionError("the world has no such user")


@pytest.mark.parametrize(("split", "earlier"), [("valid", ["train"]), ("test", ["train", "valid"])])
def test_what_was_met_before_the_part_is_not_ranked(
    small_world: Dataset, split: RankedSplit, earlier: list[str]
) -> None:
    user = user_of(small_world, split)
    rows = small_world.interactions
    own = rows.filter(rows["user_id"] == user)
    seen = set(own.filter(own["split"].is_in(earlier))["item_id"].to_list())
    order = unseen_items(small_world, split).collaborative(user)
    assert order.tolist() == sorted(set(range(1, small_world.num_items + 1)) - seen, reverse=True)


def test_the_history_is_that_before_the_first_row_of_the_part(small_world: Dataset) -> None:
    user = user_of(small_world, "test")
    rows = small_world.interactions
    own = rows.filter((rows["user_id"] == user) & (rows["label"] == 1))
    liked = own.filter(own["split"].is_in(["train", "valid"]))["item_id"].to_list()
    context = unseen_items(small_world).context(user)
    assert (context.user_id, context.liked.tolist()) == (user, liked)


def test_only_the_candidates_get_another_order(small_world: Dataset) -> None:
    user = user_of(small_world, "test")
    found = unseen_items(small_world)
    order = found.collaborative(user).tolist()
    reranked = found.reranked(Backwards(-1.0), user).tolist()  # type: ignore[arg-type]
    assert reranked == order[:6][::-1] + order[6:]


def test_the_perfect_order_puts_the_liked_candidates_first(small_world: Dataset) -> None:
    user = user_of(small_world, "test")
    found = unseen_items(small_world, candidates=small_world.num_items)
    rows = small_world.interactions
    own = rows.filter((rows["user_id"] == user) & (rows["split"] == "test") & (rows["label"] == 1))
    order = found.perfect(user).tolist()
    new = set(own["item_id"].to_list()) & set(order)
    assert new
    assert set(order[: len(new)]) == new
    few = unseen_items(small_world, candidates=1)
    assert few.perfect(user).tolist() == few.collaborative(user).tolist()


def test_scores_rank_in_the_order_with_what_was_seen_last(small_world: Dataset) -> None:
    user = user_of(small_world, "test")
    found = unseen_items(small_world)
    (scores,) = found.scores(found.collaborative, np.array([user]))
    order = found.collaborative(user)
    assert np.argsort(-scores, kind="stable")[: len(order)].tolist() == order.tolist()
    rest = np.setdiff1d(np.arange(small_world.num_items + 1), order)
    assert (scores[rest] < scores[order].min()).all()


def test_popularity_is_that_of_the_training_part(small_world: Dataset) -> None:
    user = user_of(small_world, "test")
    order = unseen_items(small_world).popular(user)
    popularity = small_world.popularity[order].tolist()
    assert popularity == sorted(popularity, reverse=True)


def test_what_was_drawn_as_a_negative_was_not_met(small_world: Dataset) -> None:
    user = user_of(small_world, "test")
    rows = small_world.interactions
    own = rows.filter((rows["user_id"] == user) & rows["split"].is_in(["train", "valid"]))
    card = small_world.card.model_copy(update={"negatives_drawn": True})
    items = unseen_items(replace(small_world, card=card)).items(user)
    liked = set(own.filter(own["label"] == 1)["item_id"].to_list())
    assert set(items.tolist()) == set(range(1, small_world.num_items + 1)) - liked
    assert len(items) > len(unseen_items(small_world).items(user))
