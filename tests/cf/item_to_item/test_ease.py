import numpy as np
import pytest
from scipy import sparse

from corarec.cf.item_to_item.ease import EASE, EASEConfig
from corarec.errors import ConfigError

PICKED = np.random.default_rng(0).integers(0, 2, size=(40, 7)).astype(np.float32)


def test_the_weights_are_the_ridge_regression_of_each_item_on_the_others() -> None:
    weights = EASE(EASEConfig(penalty=3.0)).weigh(sparse.csr_array(PICKED))
    for item in range(7):
        others = np.delete(PICKED, item, axis=1).astype(np.float64)
        ridge = np.linalg.solve(others.T @ others + 3 * np.eye(6), others.T @ PICKED[:, item])
        np.testing.assert_allclose(np.delete(weights[:, item], item), ridge, atol=1e-6)
        assert weights[item, item] == 0
    assert weights.dtype == np.float32


def test_too_many_items_are_refused_before_the_memory_is_taken() -> None:
    many = sparse.csr_array((3, 40_000), dtype=np.float32)
    with pytest.raises(ConfigError, match=r"40,000 items, which takes 19\.2 GB.*item-knn"):
        EASE(EASEConfig()).weigh(many)


def test_more_items_than_stand_in_a_block_have_the_weights_of_one_product() -> None:
    picked = sparse.random_array((300, 1_100), density=0.05, rng=1, dtype=np.float32).tocsr()
    picked.data[:] = 1
    weights = EASE(EASEConfig(penalty=9.0)).weigh(picked)
    gram = (picked.T @ picked).toarray().astype(np.float64) + 9 * np.eye(1_100)
    inverse = np.linalg.inv(gram)
    wanted = -inverse / np.diagonal(inverse)
    np.fill_diagonal(wanted, 0)
    np.testing.assert_allclose(weights, wanted, atol=1e-5)
