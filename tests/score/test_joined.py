from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from corarec.data import Dataset
from corarec.errors import TrainingError
from corarec.score.context import Context
from corarec.score.joined import (
    CF,
    HISTORY,
    LAST,
    NEW,
    NO_HISTORY,
    POPULARITY,
    RECENT,
    SYSTEM,
    GroupOrder,
    JoinedRanking,
    joined_order,
    place_signal,
    signals,
)
from corarec.types import FloatArray, Pairs

SOMEBODY, NOBODY = Context(1, np.array([2])), Context(0, np.zeros(0, np.int64))


class Likes:
    name = "likes"

    def __init__(self, values: FloatArray) -> None:
        self.values = values

    def score(self, pairs: Pairs) -> FloatArray:
        return self.values[pairs.item_ids]


def group(first: dict[str, float], then: dict[str, float] | None = None) -> GroupOrder:
    return GroupOrder(
        users=30, learned_from=30, chosen="joined", first=first, then=then or first, validation={}
    )


def test_a_place_counts_by_its_logarithm_and_equals_count_nothing() -> None:
    np.testing.assert_allclose(place_signal([5.0, 9.0, 5.0, -1.0]), -np.log([2.5, 1, 2.5, 4]))
    np.testing.assert_array_equal(place_signal([3.0, 3.0]), [0, 0])
    np.testing.assert_array_equal(place_signal([]), [])
    np.testing.assert_allclose(place_signal([np.inf, 0.0, -np.inf]), -np.log([1, 2, 3]))


def test_popularity_alone_is_the_order_of_popularity(small_world: Dataset) -> None:
    items = np.arange(1, small_world.num_items + 1)
    cf = Likes(np.arange(small_world.num_items + 1, dtype=np.float64))
    said = signals(cf, small_world.catalogue, SOMEBODY, items)  # type: ignore[arg-type]
    order = said.items[said.order({POPULARITY: 1.0})]
    expected = items[np.lexsort((items, -small_world.popularity[items]))]
    np.testing.assert_array_equal(order, expected)
    np.testing.assert_array_equal(said.items[said.order({})], expected)
    np.testing.assert_array_equal(said.items[said.order({CF: 2.0})], items[::-1])
    recent = small_world.catalogue.recent[said.items[said.order({RECENT: 1.0})]]
    assert (np.diff(recent) <= 0).all()


def test_items_that_nobody_liked_can_be_lifted(small_world: Dataset) -> None:
    popularity = small_world.popularity.copy()
    popularity[7] = 0
    catalogue = replace(small_world.catalogue, popularity=popularity)
    said = signals(None, catalogue, SOMEBODY, np.array([3, 7, 5]))
    assert CF not in said.values
    assert said.items[said.order({POPULARITY: 1.0})][-1] == 7
    assert said.items[said.order({POPULARITY: 1.0, NEW: 9.0})][0] == 7


def test_a_score_that_is_no_number_is_an_error(small_world: Dataset) -> None:
    values = np.zeros(small_world.num_items + 1)
    values[4] = np.nan
    with pytest.raises(TrainingError, match="'likes' gave 1 scores that are no numbers.*item 4"):
        signals(Likes(values), small_world.catalogue, NOBODY, np.array([3, 4]))  # type: ignore[arg-type]


def test_candidates_are_ordered_by_all_parts_and_ties_stay_popular(small_world: Dataset) -> None:
    said = signals(None, small_world.catalogue, NOBODY, np.arange(1, 9))
    picked = np.array([5, 0, 3])
    scores = np.array([0.0, 2.0, 1.0])
    assert joined_order(said, picked, scores, {SYSTEM: 1.0}).tolist() == [1, 2, 0]
    assert joined_order(said, picked, np.zeros(3), {SYSTEM: 1.0}).tolist() == [1, 2, 0]
    assert joined_order(said, picked, -scores, {SYSTEM: 1.0}).tolist() == [0, 2, 1]
    by_popularity = joined_order(said, picked, -scores, {POPULARITY: 1.0})
    assert picked[by_popularity].tolist() == [0, 3, 5]


def test_who_gets_which_order_and_what_it_is_called() -> None:
    joined = JoinedRanking(
        weights_digest="x",
        candidates=10,
        cutoff=10,
        groups={HISTORY: group({CF: 1.0, NEW: 0.0}, {SYSTEM: 0.5}), NO_HISTORY: group({})},
    )
    assert joined.of(SOMEBODY).then == {SYSTEM: 0.5}
    assert joined.words(SOMEBODY).startswith("its CF model and the system, as learned")
    assert joined.words(NOBODY) == "popularity, as learned on validation for people without history"


class Listens:
    """A CF model that tells what it was asked about."""

    name = "listens"

    def __init__(self) -> None:
        self.heard: list[list[int]] = []

    def score(self, pairs: Pairs) -> FloatArray:
        histories = pairs.histories
        self.heard.append(histories.liked_items[histories.start[0] : histories.end[0]].tolist())
        assert pairs.disliked is not None
        return pairs.item_ids.astype(np.float64) * (-1) ** len(self.heard)


def test_a_cf_model_is_asked_about_the_last_likes_where_they_count(small_world: Dataset) -> None:
    items, catalogue = np.arange(1, 6), small_world.catalogue
    liked, parts = np.array([5, 6, 7, 8, 9]), {CF, *LAST, POPULARITY}
    cf = Listens()
    said = signals(cf, catalogue, Context(1, liked), items, parts)  # type: ignore[arg-type]
    # The last ten are all five, so that question is not asked again.
    assert cf.heard == [[5, 6, 7, 8, 9], [9], [7, 8, 9]]
    assert set(said.values) == {CF, *LAST, POPULARITY, RECENT, NEW}
    np.testing.assert_array_equal(said.values["cf-last-10"], said.values[CF])
    places = [np.exp(-said.values[part]) for part in (CF, "cf-last-1")]
    np.testing.assert_allclose(sum(places), 6)  # the one the other backwards
    few = Listens()
    asked = group({"cf-last-3": 1.0, CF: 0.0}).parts
    signals(few, catalogue, Context(1, liked), items, asked)  # type: ignore[arg-type]
    assert few.heard == [[7, 8, 9]]
    nobody = Listens()
    signals(nobody, catalogue, NOBODY, items, parts)  # type: ignore[arg-type]
    assert nobody.heard == [[]]


def test_the_last_likes_have_names_and_old_orders_stay_readable() -> None:
    weights = {"cf-last-1": 0.5, "cf-last-3": 0.5}
    joined = JoinedRanking(
        weights_digest="x",
        candidates=10,
        cutoff=10,
        groups={HISTORY: group(weights), NO_HISTORY: group({CF: 0.3, POPULARITY: 2.0, NEW: 1.0})},
    )
    assert joined.words(SOMEBODY).startswith(
        "its CF model on the last like and its CF model on the last 3 likes, as learned"
    )
    assert JoinedRanking.model_validate(joined.model_dump(mode="json")) == joined


@pytest.mark.parametrize("wrong", [{CF: -1.0}, {CF: float("nan")}, {CF: float("inf")}, {"x": 1.0}])
def test_weights_are_finite_not_negative_and_of_known_parts(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        group(wrong)
