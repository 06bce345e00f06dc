from dataclasses import replace

import numpy as np
import pytest

from corarec.cf import FitConfig, VectorSource, fit_cf
from corarec.cf import source as source_room
from corarec.cf.counting.rates import Rates, RatesConfig
from corarec.cf.feedback import Feedback
from corarec.data import Dataset
from corarec.errors import TrainingError
from corarec.types import Histories, Log, Pairs


@pytest.fixture(scope="module")
def source(small_world: Dataset) -> VectorSource:
    model, _ = fit_cf(small_world, FitConfig(model="rates"))
    return VectorSource(model, small_world)


def test_a_training_row_is_scored_without_its_own_label_and_a_question_is_not(
    source: VectorSource, small_world: Dataset
) -> None:
    train = small_world.pairs("train")
    asked = replace(train, rows=None)
    known = source.model.score(asked)
    np.testing.assert_array_equal(source.score(asked), known)
    labels = small_world.labels("train")
    # Leaving the own label out lowers what was liked and raises what was not.
    moved = source.score(train) - known
    assert (moved[labels == 1] <= 0).all()
    assert (moved[labels == 0] >= 0).all()
    assert (moved != 0).mean() > 0.9


def test_rows_that_took_no_part_in_the_fit_keep_what_is_known(
    source: VectorSource, small_world: Dataset
) -> None:
    for part in ("valid", "test"):
        pairs = small_world.pairs(part)
        expected = source.model.score(replace(pairs, rows=None))
        np.testing.assert_array_equal(source.score(pairs), expected)


def test_it_has_the_name_and_size_of_its_model(source: VectorSource, small_world: Dataset) -> None:
    assert source.name == "rates"
    table = source.vector_table(small_world.pairs("valid"))
    assert table.vector_size == source.vector_size
    assert len(table) == len(small_world.rows("valid"))


class Everybody:
    """A service that was told something of every user."""

    now = 1

    def changed(self, user_ids: np.ndarray) -> np.ndarray:
        return user_ids

    def versions(self, user_ids: np.ndarray) -> np.ndarray:
        return np.zeros(len(user_ids), np.int64)

    def feedback(self, user_ids: np.ndarray) -> Feedback:
        none = np.zeros(0, np.int64)
        rows = Log(none, none, none, none, none.astype(np.float64))
        nothing = np.zeros(0, np.bool_)
        return Feedback(user_ids, rows, nothing, nothing, none)

    def log(self) -> None:
        return None


def test_the_folded_vectors_of_so_many_users_are_kept_and_no_more(
    source: VectorSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_room, "KEPT_USERS", 10)
    source.follow(Everybody())
    try:
        for first in range(1, 20):
            users = np.arange(first, first + 4)
            none = Histories.repeated(np.zeros(0, np.int64), len(users))
            pairs = Pairs(users, np.ones(len(users), np.int64), none)
            model = source.model_for(pairs)
            assert source.model_for(pairs) is model
            assert len(source._knowing) <= 2
        users = np.arange(30)
        none = Histories.repeated(np.zeros(0, np.int64), len(users))
        source.model_for(Pairs(users, np.ones(len(users), np.int64), none))
        assert len(source._knowing) == 1
    finally:
        source.follow(None)


def test_a_model_that_was_not_fitted_is_no_source(small_world: Dataset) -> None:
    with pytest.raises(TrainingError, match="has not been fitted"):
        VectorSource(Rates(RatesConfig()), small_world)
