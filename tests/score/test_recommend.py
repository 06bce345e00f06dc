import numpy as np
from scipy.special import expit

from corarec.data import Dataset
from corarec.score.context import Context
from corarec.score.recommend import candidate_order, recommend
from corarec.types import FloatArray, IntArray, Pairs


class Likes:
    """Scores by a number per item; stands for a CF model or a recommender."""

    scores_catalogues = False

    def __init__(self, values: FloatArray) -> None:
        self.values = values
        self.asked: list[int] = []

    def score(self, pairs: Pairs) -> FloatArray:
        self.asked = pairs.item_ids.tolist()
        return self.values[pairs.item_ids]

    def score_items(self, context: Context, item_ids: IntArray) -> FloatArray:
        return self.score(context.pairs(item_ids))


CONTEXT = Context(0, np.array([1]))


def test_candidates_come_from_cf_and_the_order_from_the_recommender(small_world: Dataset) -> None:
    size = small_world.num_items + 1
    cf, recommender = Likes(np.arange(size, dtype=np.float64)), Likes(np.arange(size) / -10)
    exclude = np.array([size - 1, 3])
    best = recommend(
        recommender,  # type: ignore[arg-type]
        cf,  # type: ignore[arg-type]
        small_world.catalogue,
        CONTEXT,
        exclude,
        count=2,
        candidates=4,
    )
    # Cf likes large ids best: the last is excluded, so its first four are these, in this order.
    assert recommender.asked == [size - 2, size - 3, size - 4, size - 5]
    chosen = [size - 5, size - 4]
    assert best["item"].to_list() == small_world.item_vocabulary.raw(np.array(chosen))
    assert best["title"].to_list() == [small_world.titles[item] for item in chosen]
    assert best["rank"].to_list() == [1, 2]
    assert best["candidate_rank"].to_list() == [4, 3]
    assert best["score"].to_list() == (-np.array(chosen) / 10).tolist()
    np.testing.assert_allclose(best["probability"], expit(best["score"].to_numpy()))
    assert not {3, size - 1} & set(cf.asked)


def test_of_a_system_that_scores_all_items_at_once_all_are_candidates(
    small_world: Dataset,
) -> None:
    size = small_world.num_items + 1
    cf, system = Likes(np.arange(size, dtype=np.float64)), Likes(np.arange(size) / -10)
    system.scores_catalogues = True
    best = recommend(
        system,  # type: ignore[arg-type]
        cf,  # type: ignore[arg-type]
        small_world.catalogue,
        CONTEXT,
        np.array([1]),
        count=2,
        candidates=4,
    )
    assert best["item"].to_list() == small_world.item_vocabulary.raw(np.array([2, 3]))
    assert best["candidate_rank"].to_list() == [size - 2, size - 3]


def test_without_cf_and_on_ties_the_popular_come_first(small_world: Dataset) -> None:
    items = np.arange(1, small_world.num_items + 1)
    popularity = small_world.popularity[items]
    order = candidate_order(None, small_world.catalogue, CONTEXT.pairs(items))
    assert popularity[order].tolist() == sorted(popularity.tolist(), reverse=True)
    values = np.zeros(small_world.num_items + 1)
    values[items[-1]] = 1.0
    first, *rest = candidate_order(Likes(values), small_world.catalogue, CONTEXT.pairs(items))  # type: ignore[arg-type]
    assert items[first] == items[-1]
    assert popularity[rest].tolist() == sorted(popularity[:-1].tolist(), reverse=True)
