import numpy as np
import pytest

from corarec.benchmark import order_weights
from corarec.benchmark.order_weights import RankedList, fit_weights, search_weights
from corarec.score.joined import CF, POPULARITY, Signals


def listed(said: dict[str, list[float]], liked: list[int], wanted: int = 1) -> RankedList:
    values = {name: np.array(each, dtype=np.float64) for name, each in said.items()}
    marks = np.array(liked, dtype=np.bool_)
    return RankedList(Signals(np.arange(1, len(liked) + 1), values), marks, wanted)


def test_the_weights_are_those_of_the_likelihood() -> None:
    said = {"a": [2.0, 0.0, 1.0], "b": [0.0, 1.0, 0.0]}
    weights = fit_weights([listed(said, [1, 0, 0])] * 3, ["a", "b"])
    assert weights["a"] > 1
    assert weights["b"] == 0
    nothing = listed(said, [0, 0, 0])
    assert fit_weights([nothing], [POPULARITY, CF]) == {POPULARITY: 1.0, CF: 0.0}


@pytest.mark.parametrize("cutoff", [1, 2, 3, 9])
def test_the_gain_is_that_of_the_first_items_and_of_equals_of_the_earlier(cutoff: int) -> None:
    each = listed({}, [0, 1, 0, 1], wanted=3)
    scores = np.array([1.0, 1.0, 2.0, 1.0])
    gains = 1 / np.log2([2, 3, 4, 5])
    order = [0, 0, 1, 1]  # the third, then the others as they stand
    best = sum(gains[:cutoff][:3])
    found = sum(gain * liked for gain, liked in zip(gains[:cutoff], order[:cutoff], strict=True))
    assert each.ndcg(scores, cutoff) == pytest.approx(found / best)


def test_only_the_first_items_of_each_part_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(order_weights, "KEPT", 1)
    values = {"a": np.array([3.0, 2.0, 1.0, 0.0]), "b": np.array([0.0, 0.0, 0.0, 9.0])}
    kept = RankedList.of(Signals(np.array([4, 5, 6, 7]), values), np.array([5, 7]))
    assert kept.said.items.tolist() == [4, 7]
    assert kept.liked.tolist() == [False, True]
    assert kept.wanted == 2


def test_the_search_finds_what_the_likelihood_does_not() -> None:
    # Most people's answer lies far down, where the likelihood looks, too, and the NDCG does not.
    far = listed({"a": [0, -1, -2, -3], "b": [-3, -1, -2, 0]}, [0, 0, 0, 0])
    near = listed({"a": [-1, 0, -2, -3], "b": [0, -3, -1, -2]}, [1, 0, 0, 0])
    lists = [far, near]
    start = {"a": 1.0, "b": 0.2}
    before = np.mean([each.ndcg(each.said.sum(start), 1) for each in lists])
    found = search_weights(lists, start, 1)
    after = np.mean([each.ndcg(each.said.sum(found), 1) for each in lists])
    assert before == 0 < after
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) >= 0


def test_a_search_never_makes_it_worse_and_leaves_nothing_as_it_is() -> None:
    random = np.random.default_rng(0)
    lists = [
        listed(
            {part: random.normal(size=30).tolist() for part in "abc"},
            (random.random(30) < 0.2).astype(int).tolist(),
            30,
        )
        for _ in range(8)
    ]
    for start in ({"a": 1.0, "b": 0.0, "c": 0.0}, {"a": 0.2, "b": 3.0, "c": 1.0}):
        values = [
            np.mean([each.ndcg(each.said.sum(weights), 5) for each in lists])
            for weights in (start, search_weights(lists, start, 5))
        ]
        assert values[1] >= values[0]
    assert search_weights(lists, {"a": 0.0, "b": 0.0}, 5) == {"a": 0.0, "b": 0.0}
