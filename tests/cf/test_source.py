from dataclasses import replace

import numpy as np
import pytest

from corarec.cf import FitConfig, VectorSource, fit_cf
from corarec.cf.counting.rates import Rates, RatesConfig
from corarec.data import Dataset
from corarec.errors import TrainingError


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


def test_a_model_that_was_not_fitted_is_no_source(small_world: Dataset) -> None:
    with pytest.raises(TrainingError, match="has not been fitted"):
        VectorSource(Rates(RatesConfig()), small_world)
