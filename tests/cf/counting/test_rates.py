from collections.abc import Callable

import numpy as np
import pytest
import torch

from corarec.cf.counting.rates import Rates, RatesConfig
from corarec.cf.data import FitData, TrainingPairs
from corarec.errors import DataError
from corarec.types import Pairs

PairsOf = Callable[..., Pairs]

NAN = float("nan")


@pytest.fixture
def train(pairs_of: PairsOf) -> Pairs:
    """User 1 liked items 1 and 2 but not 3; user 2 did not like item 1: two of four liked."""
    return pairs_of([1, 1, 1, 2], [1, 2, 3, 1], own_labels=[1.0, 1.0, 0.0, 0.0])


@pytest.fixture
def rates(train: Pairs, pairs_of: PairsOf) -> Rates:
    valid = pairs_of([1, 2], [1, 1])
    model = Rates(RatesConfig(smoothing=2.0))
    model.fit(FitData(train, np.array([1, 1, 0, 0]), valid, np.array([0, 1]), 3, 4), seed=0)
    return model


def vectors(model: Rates, pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
    return model.vector_table(pairs).lookup(np.arange(len(pairs)))


# Rates of the known users over 1/2, by two rows at that rate more: (2 + 1) / (3 + 2), (0 + 1) / 3.
USER_RATE = np.sqrt(((3 / 5 - 0.5) ** 2 + (1 / 3 - 0.5) ** 2) / 2)
# Of the items: 1 liked of 2, 1 of 1, 0 of 1.
ITEM_RATE = np.sqrt(((2 / 3 - 0.5) ** 2 + (1 / 3 - 0.5) ** 2) / 3)
USER_COUNTS, ITEM_COUNTS = np.log([4, 2]), np.log([3, 2, 2])


def user(rate: float, count: int) -> list[float]:
    return [(rate - 0.5) / USER_RATE, (np.log1p(count) - USER_COUNTS.mean()) / USER_COUNTS.std()]


def item(rate: float, count: int) -> list[float]:
    return [(rate - 0.5) / ITEM_RATE, (np.log1p(count) - ITEM_COUNTS.mean()) / ITEM_COUNTS.std()]


def close(vectors: torch.Tensor, expected: list[list[float]]) -> None:
    np.testing.assert_allclose(vectors, expected, rtol=1e-6, atol=1e-6)


def test_vectors_of_new_rows_by_hand(rates: Rates, pairs_of: PairsOf) -> None:
    users, items = vectors(rates, pairs_of([1, 2, 3], [1, 3, 4]))
    close(users, [user(3 / 5, 3), user(1 / 3, 1), [0, 0]])
    close(items, [item(1 / 2, 2), item(1 / 3, 1), [0, 0]])


def test_vectors_of_train_rows_leave_their_own_label_out(rates: Rates, train: Pairs) -> None:
    users, items = vectors(rates, train)
    close(users, [user(1 / 2, 2), user(1 / 2, 2), user(3 / 4, 2), [0, 0]])
    close(items, [item(1 / 3, 1), [0, 0], [0, 0], item(2 / 3, 1)])


def test_rows_of_one_user_share_their_vector(rates: Rates, train: Pairs) -> None:
    table = rates.vector_table(train)
    assert table.user_rows[0] == table.user_rows[1] != table.user_rows[2]
    assert len(table.users) == 3


def test_score_adds_log_odds(rates: Rates, pairs_of: PairsOf) -> None:
    scores = rates.score(pairs_of([1, 2, 3], [1, 3, 4]))
    log_odds = [np.log(3 / 2), 2 * np.log(1 / 2), 0.0]
    np.testing.assert_allclose(scores, log_odds, rtol=1e-6, atol=1e-12)


def test_pairs_without_own_labels_are_new_rows(rates: Rates, train: Pairs) -> None:
    new = TrainingPairs.of(train, np.full(4, NAN))
    plain = Pairs(train.user_ids, train.item_ids, train.histories)
    np.testing.assert_array_equal(rates.score(new), rates.score(plain))
    assert (rates.score(new) != rates.score(train)).any()


def test_a_train_row_that_was_not_counted_is_an_error(rates: Rates, pairs_of: PairsOf) -> None:
    pairs = pairs_of([1, 2], [1, 4], own_labels=[NAN, 1.0])
    with pytest.raises(DataError, match=r"Pair 1 \(id 2\) is marked as a training row"):
        rates.vector_table(pairs)
    pairs = pairs_of([1], [4], own_labels=[0.0])
    with pytest.raises(DataError, match=r"Pair 0 \(id 4\)"):
        rates.vector_table(pairs)
