"""The small regressions by which users are folded in."""

import numpy as np
import pytest
from scipy.optimize import minimize

from corarec.cf.factors.folding import Prior, Rows, held_back, solved


def problem(count: int, width: int) -> tuple[Rows, Prior]:
    random = np.random.default_rng(count)
    labels = random.integers(0, 2, count).astype(np.float64)
    rows = Rows(random.normal(size=(count, width)), random.normal(size=count), labels)
    return rows, Prior(random.normal(size=width), random.uniform(0.1, 3, width))


@pytest.mark.parametrize(("count", "width"), [(0, 4), (1, 3), (3, 8), (40, 5)])
def test_the_solution_has_the_smallest_loss(count: int, width: int) -> None:
    rows, prior = problem(count, width)

    def loss(p: np.ndarray) -> float:
        logits = rows.offsets + rows.features @ p
        distance = prior.penalty * np.square(p - prior.centre)
        return float((np.logaddexp(0, logits) - rows.labels * logits).sum() + distance.sum() / 2)

    wanted = minimize(loss, prior.centre, tol=1e-12).x
    np.testing.assert_allclose(solved(rows, prior), wanted, atol=1e-5)


def test_folding_begins_at_the_fitted_vector() -> None:
    rows, prior = problem(6, 4)
    fitted = np.array([0.3, -1.0, 2.0, 0.1])
    moved = prior.moved(held_back(rows, prior, fitted))
    np.testing.assert_allclose(solved(rows, moved), fitted, atol=1e-7)


def test_separable_rows_and_huge_features_have_a_finite_solution() -> None:
    rows = Rows(np.full((3, 2), 1e4), np.zeros(3), np.ones(3))
    found = solved(rows, Prior(np.zeros(2), np.full(2, 1e-6)))
    assert np.isfinite(found).all()
    assert (rows.features @ found > 0).all()


def test_a_prior_of_one_user_or_of_none_is_one() -> None:
    for vectors in (np.zeros((3, 2)), np.array([[1.0, 2.0]])):
        prior = Prior.of(vectors)
        assert (np.isfinite(prior.penalty) & (prior.penalty > 0)).all()
