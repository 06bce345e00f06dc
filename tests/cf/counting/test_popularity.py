from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from corarec.cf.counting.popularity import Popularity, PopularityConfig
from corarec.cf.data import FitData, TrainingPairs
from corarec.errors import DataError
from corarec.types import Log, Pairs

PairsOf = Callable[..., Pairs]
USERS, ITEMS, LABELS = [1, 1, 2, 2, 3], [1, 2, 1, 3, 2], np.array([1, 1, 1, 0, 1])
TIMES = np.array([10, 20, 30, 40, 50])


def fitted(pairs_of: PairsOf, times: np.ndarray | None = TIMES, **options: Any) -> Popularity:
    model = Popularity(PopularityConfig.model_validate(options))
    train, valid = replace(pairs_of(USERS, ITEMS), times=times), pairs_of([1, 2], [1, 1])
    model.fit(FitData(train, LABELS, valid, np.array([0, 1]), 5, 4), seed=0)
    return model


def test_likes_are_counted_and_new_users_have_the_same_order(pairs_of: PairsOf) -> None:
    model = fitted(pairs_of)
    asked = pairs_of([0, 1, 9, 1, 1], [1, 2, 3, 4, 9])
    np.testing.assert_allclose(np.expm1(model.score(asked)), [2, 2, 0, 0, 0])


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({"counted": "rows"}, [2, 2, 1]),
        # Two of five rows are the latest 40 %: item 3, not liked, and item 2.
        ({"latest": 0.4}, [0, 1, 0]),
        ({"latest": 0.4, "counted": "rows"}, [0, 1, 1]),
        ({"latest": 0.6}, [1, 1, 0]),
        ({"latest": 1e-9}, [0, 1, 0]),
    ],
)
def test_what_is_counted(pairs_of: PairsOf, options: dict[str, Any], counts: list[int]) -> None:
    scores = fitted(pairs_of, **options).score(pairs_of([1, 1, 1], [1, 2, 3]))
    np.testing.assert_allclose(np.expm1(scores), counts)


def test_rows_of_one_second_are_recent_together(pairs_of: PairsOf) -> None:
    model = fitted(pairs_of, np.array([10, 20, 50, 50, 50]), latest=0.2)
    np.testing.assert_allclose(np.expm1(model.score(pairs_of([1, 1], [1, 2]))), [1, 1])


def test_it_counts_to_the_moment_of_a_pair(pairs_of: PairsOf) -> None:
    model = fitted(pairs_of)
    rows = np.array(USERS), np.array(ITEMS), LABELS, TIMES, np.full(5, np.nan)
    asked = replace(pairs_of([1, 1, 1], [1, 1, 1]), known_until=np.array([10, 30, 31]))
    asked = TrainingPairs.of(asked, np.full(3, np.nan), Log(*rows))
    np.testing.assert_allclose(np.expm1(model.score(asked)), [0, 1, 2])


def test_the_latest_rows_need_times(pairs_of: PairsOf) -> None:
    with pytest.raises(DataError, match="these have no times"):
        fitted(pairs_of, None, latest=0.5)
    assert fitted(pairs_of, None).score(pairs_of([1], [1])) > 0
