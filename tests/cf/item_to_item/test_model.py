from collections.abc import Callable

import numpy as np
import pytest
import torch

from corarec.cf.base import CFModel
from corarec.cf.data import FitData
from corarec.cf.item_to_item import model as item_to_item
from corarec.cf.item_to_item.ease import EASE, EASEConfig
from corarec.cf.item_to_item.item_knn import ItemKNN, ItemKNNConfig
from corarec.types import Histories, Pairs


@pytest.fixture(
    params=[
        lambda: EASE(EASEConfig(penalty=5.0, embedding_size=22)),
        lambda: ItemKNN(ItemKNNConfig(shrinkage=1.0, neighbours=4, embedding_size=22)),
    ]
)
def model(request: pytest.FixtureRequest, checkerboard: FitData) -> CFModel:
    made: CFModel = request.param()
    made.fit(checkerboard, seed=0)
    return made


def all_items(history: list[int], count: int = 24) -> Pairs:
    items = np.arange(1, count + 1)
    return Pairs(
        np.zeros(count, np.int64),
        items,
        Histories.repeated(np.array(history, dtype=np.int64), count),
    )


def test_all_items_of_one_history_have_the_scores_of_single_pairs(model: CFModel) -> None:
    catalogue = all_items([2, 5, 8])
    alone = [model.score(catalogue.take(np.array([row])))[0] for row in range(len(catalogue))]
    np.testing.assert_allclose(model.score(catalogue), alone, atol=1e-6)


def test_portions_change_no_score(
    model: CFModel, held_out: tuple[Pairs, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, catalogue = model.score(held_out[0]), model.score(all_items([2, 5]))
    monkeypatch.setattr(item_to_item, "_NUMBERS_AT_ONCE", 7)
    np.testing.assert_allclose(model.score(held_out[0]), whole, atol=1e-6)
    np.testing.assert_allclose(model.score(all_items([2, 5])), catalogue, atol=1e-6)


def test_a_new_user_with_a_history_is_served_and_one_without_has_no_order(model: CFModel) -> None:
    scores = model.score(all_items([2, 4, 6]))
    assert scores[[7, 9, 11]].min() > scores[[6, 8, 10]].max()
    np.testing.assert_array_equal(model.score(all_items([])), np.zeros(24))


def test_what_was_picked_twice_counts_once_and_unknown_items_nothing(model: CFModel) -> None:
    once = model.score(all_items([2, 4]))
    np.testing.assert_allclose(model.score(all_items([2, 4, 2, 24, 99])), once, atol=1e-7)


def test_vectors_of_full_size_give_the_score(model: CFModel) -> None:
    pairs = all_items([2, 5, 8], 23)
    users, items = model.vector_table(pairs).lookup(np.arange(23))
    if isinstance(model, EASE):  # the neighbours' weights have a rank that is cut off
        np.testing.assert_allclose((users * items).sum(1), model.score(pairs), atol=0.02)
    assert torch.equal(users[0], users[1])


def test_all_rows_count_where_they_are_asked_for(
    checkerboard: FitData, pairs_of: Callable[..., Pairs]
) -> None:
    model = ItemKNN(ItemKNNConfig(feedback="rows", shrinkage=0.0, neighbours=23))
    model.fit(checkerboard, seed=0)
    pairs = pairs_of([1, 1], [3, 4])
    none = np.zeros(2, np.int64)
    disliked = Histories(np.array([7, 9]), none, np.array([0, 2]))
    scores = model.score(Pairs(pairs.user_ids, pairs.item_ids, pairs.histories, disliked=disliked))
    assert scores[0] == 0
    assert scores[1] > 0
