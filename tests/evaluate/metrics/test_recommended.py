import numpy as np

from corarec.evaluate.metrics import coverage, metric_title, novelty


def test_novelty_is_the_mean_information_of_what_is_shown() -> None:
    popularity = np.array([0, 3, 1, 0])  # and one each: shares 4/7, 2/7, 1/7
    first = np.array([[1, 3], [2, 0], [0, 0]])
    bits = -np.log2(np.array([4, 2, 1]) / 7)
    np.testing.assert_allclose(novelty(first, popularity, 2), [(bits[0] + bits[2]) / 2, bits[1], 0])
    np.testing.assert_allclose(novelty(first, popularity, 1), [bits[0], bits[1], 0])


def test_coverage_is_the_share_of_items_shown_to_anybody() -> None:
    first = np.array([[1, 3], [1, 0]])
    assert coverage(first, 4, 2) == 0.5
    assert coverage(first, 4, 1) == 0.25
    assert coverage(np.zeros((0, 2), np.int64), 4, 2) == 0
    assert (metric_title("coverage@10"), metric_title("novelty@5")) == ("Coverage@10", "Novelty@5")
