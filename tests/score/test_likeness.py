"""How alike items are, and orders that take that into account."""

import time

import numpy as np

from corarec.score.likeness import Likeness, arranged

VECTORS = np.array([[1.0, 0.0], [1.0, 0.05], [0.0, 1.0], [0.0, 0.0]])
TITLES = ["Alien (1979)", "Ship of Fools", "Rivers", "Aliens (1986)"]


def test_likeness_is_by_vectors_where_both_have_one_else_by_titles() -> None:
    likeness = Likeness(VECTORS, TITLES)
    to_first = likeness.to(0)
    assert to_first[1] > 0.99
    assert to_first[2] == 0
    assert 0 < to_first[3] < 1
    assert likeness.to(3)[0] == to_first[3]


def test_diversity_puts_what_is_like_the_first_behind() -> None:
    scores, likeness = np.array([3.0, 2.9, 1.0, 0.0]), Likeness(VECTORS, TITLES)
    assert arranged(scores, likeness, 4, 0.0) == [0, 1, 2, 3]
    assert arranged(scores, likeness, 3, 0.7)[:2] == [0, 2]
    assert sorted(arranged(scores, likeness, 9, 1.0)) == [0, 1, 2, 3]
    assert arranged(np.zeros(0), None, 3, 0.5) == []


def test_items_without_any_vector_are_told_apart_by_titles() -> None:
    likeness = Likeness(np.zeros((4, 0)), TITLES)
    assert likeness.to(0)[3] > likeness.to(0)[2]


def test_many_items_without_vectors_are_put_in_order_at_once() -> None:
    titles = [f"{n} quiet comets of the {n % 7} rivers" for n in range(600)]
    scores = np.linspace(1, 0, len(titles))
    before = time.process_time()
    order = arranged(scores, Likeness(np.zeros((len(titles), 0)), titles), 600, 0.5)
    assert sorted(order) == list(range(600))
    assert time.process_time() - before < 1.5
