from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from corarec.cf.data import FitData, TrainingPairs
from corarec.cf.report import auc
from corarec.cf.ridge.als import ALS, ALSConfig
from corarec.errors import DataError
from corarec.types import Pairs

PairsOf = Callable[..., Pairs]


@pytest.fixture(scope="module")
def fitted(checkerboard: FitData) -> ALS:
    model = ALS(ALSConfig(embedding_size=4, penalty=1.0, bias_penalty=1.0))
    model.fit(checkerboard, seed=0)
    return model


def plain(pairs: Pairs) -> Pairs:
    return Pairs(pairs.user_ids, pairs.item_ids, pairs.histories)


def vectors(model: ALS, pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
    return model.vector_table(pairs).lookup(np.arange(len(pairs)))


def test_a_user_half_without_its_row_equals_a_model_without_that_row(
    fitted: ALS, checkerboard: FitData
) -> None:
    """Take the row out of the stored training rows: the users are solved again without it."""
    row = 7
    tensors = fitted.tensors()
    kept = torch.arange(len(checkerboard.train)) != row
    smaller = ALS(ALSConfig(embedding_size=4, penalty=1.0, bias_penalty=1.0))
    smaller.restore(tensors | {"rows": tensors["rows"][kept]})
    pair = checkerboard.train.take(np.array([row]))
    left_out, _ = vectors(fitted, pair)
    refitted, _ = vectors(smaller, plain(pair))
    full, _ = vectors(fitted, plain(pair))
    # The global rate moves by 1 / 348 with the row, and with it every target a little.
    assert (left_out - refitted).abs().max() < 0.2 * (left_out - full).abs().max()


def test_training_rows_do_not_know_their_own_label(checkerboard: FitData) -> None:
    """Where labels are noise, vectors with the own label give it away, those without do not."""
    noise = np.random.default_rng(0).integers(0, 2, len(checkerboard.train))
    train = TrainingPairs.of(checkerboard.train, noise.astype(np.float64))
    model = ALS(ALSConfig(embedding_size=4, penalty=1.0, max_epochs=1))
    model.fit(replace(checkerboard, train=train, train_labels=noise), seed=0)
    assert auc(noise, model.score(plain(train))) > 0.7
    assert auc(noise, model.score(train)) < 0.55


def test_exported_vectors_give_the_score_without_the_mean(
    fitted: ALS, checkerboard: FitData
) -> None:
    pairs = checkerboard.valid
    users, items = vectors(fitted, pairs)
    offset = fitted.score(pairs) - (users * items).sum(1).numpy()
    rate = checkerboard.train_labels.mean()
    np.testing.assert_allclose(offset, np.log(rate / (1 - rate)), atol=1e-5)
    assert set(users[:, -1].tolist()) == set(items[:, -2].tolist()) == {1.0}


def test_a_half_with_no_other_row_is_zero(pairs_of: PairsOf) -> None:
    train = pairs_of([1, 1, 2], [1, 2, 1], own_labels=[1.0, 0.0, 0.0])
    valid = pairs_of([1, 2], [1, 2])
    model = ALS(ALSConfig(embedding_size=2))
    model.fit(FitData(train, np.array([1, 0, 0]), valid, np.array([1, 0]), 2, 2), seed=0)
    users, items = vectors(model, train)
    assert (users.abs().sum(1) > 0).tolist() == [True, True, False]
    assert (items.abs().sum(1) > 0).tolist() == [True, False, True]


def test_a_row_that_was_not_fitted_cannot_be_left_out(fitted: ALS, checkerboard: FitData) -> None:
    flipped = (1 - checkerboard.train_labels).astype(np.float64)
    wrong = TrainingPairs.of(checkerboard.train, flipped)
    with pytest.raises(DataError, match="Pair 0 .* marked as a training row with label"):
        fitted.vector_table(wrong)


def test_size_of_the_factors_is_checked(fitted: ALS) -> None:
    with pytest.raises(ValueError, match="factors of 4 numbers"):
        ALS(ALSConfig(embedding_size=5)).restore(fitted.tensors())
