import numpy as np
import pytest
from scipy import sparse

from corarec.cf.item_to_item import item_knn
from corarec.cf.item_to_item.item_knn import ItemKNN, ItemKNNConfig

PICKED = np.random.default_rng(1).integers(0, 2, size=(30, 9)).astype(np.float32)


def by_hand(neighbours: int, shrinkage: float) -> np.ndarray:
    common = PICKED.T @ PICKED
    size = np.sqrt(np.diagonal(common))
    alike = common / (np.outer(size, size) + shrinkage)
    np.fill_diagonal(alike, 0)
    for row in alike:
        row[np.argsort(-row, kind="stable")[neighbours:]] = 0
    return alike.T


@pytest.mark.parametrize("at_once", [4, 2 * 9, 2**22])
def test_the_most_alike_by_shrunk_cosine(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(item_knn, "_NUMBERS_AT_ONCE", at_once)
    weights = ItemKNN(ItemKNNConfig(neighbours=3, shrinkage=2.5)).weigh(sparse.csr_array(PICKED))
    np.testing.assert_allclose(weights.toarray(), by_hand(3, 2.5), rtol=1e-6)


def test_more_neighbours_than_items_are_all_items() -> None:
    weights = ItemKNN(ItemKNNConfig(neighbours=99, shrinkage=0)).weigh(sparse.csr_array(PICKED))
    np.testing.assert_allclose(weights.toarray(), by_hand(9, 0), rtol=1e-6)
