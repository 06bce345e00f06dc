import numpy as np
import pytest
import torch

from corarec.cf.report import auc as auc_of_fit
from corarec.cf.statistics import StatisticsConfig, heads
from corarec.cf.statistics.heads import (
    BAG_ROWS,
    Labelled,
    Trees,
    _bag_size,
    fit_heads,
    fit_linear,
    fit_trees,
    some_rows,
)
from corarec.evaluate import auc


def drawn(count: int, seed: int) -> Labelled:
    random = np.random.default_rng(seed)
    features = random.standard_normal((count, 4))
    odds = 2 * features[:, 0] * (features[:, 1] > 0)
    return Labelled(features, (random.random(count) < 1 / (1 + np.exp(-odds))).astype(np.int64))


@pytest.fixture(scope="module")
def trees() -> Trees:
    config = StatisticsConfig(rounds=40, bags=2, leaf_rows=20)
    return fit_trees(drawn(1_000, 0), drawn(400, 1), config, seed=3)


def test_trees_learn_what_a_line_cannot(trees: Trees) -> None:
    train, valid, test = drawn(1_000, 0), drawn(400, 1), drawn(2_000, 2)
    linear = fit_linear(train, valid, (0.01, 0.1))
    by_trees, by_line = (auc(test.labels, head.logits(test.features)) for head in (trees, linear))
    assert by_trees is not None
    assert by_line is not None
    assert by_trees > by_line + 0.01


def test_trees_are_plain_arrays_that_survive_saving(trees: Trees) -> None:
    features = drawn(50, 4).features
    again = Trees.of(trees.tensors(), width=4)
    assert np.array_equal(again.logits(features), trees.logits(features))
    assert all(
        tensor.dtype.is_floating_point or tensor.dtype.is_signed
        for tensor in trees.tensors().values()
    )


@pytest.mark.parametrize(
    ("row", "column", "value", "words"),
    [
        (0, 1, 10**6, "leads nowhere"),
        (0, 1, -1, "leads nowhere"),
        (0, 0, 4, "reads what is not there"),
    ],
)
def test_damaged_trees_are_refused(
    trees: Trees, row: int, column: int, value: int, words: str
) -> None:
    tensors = {name: tensor.clone() for name, tensor in trees.tensors().items()}
    tensors["trees.nodes"][row, column] = value
    with pytest.raises(ValueError, match=words):
        Trees.of(tensors, width=4)


def test_trees_that_lead_in_a_circle_are_refused(trees: Trees) -> None:
    tensors = {name: tensor.clone() for name, tensor in trees.tensors().items()}
    tensors["trees.nodes"][1, 1:] = 0
    tensors["trees.nodes"][0, 1:] = 1
    with pytest.raises(ValueError, match="in a circle"):
        Trees.of(tensors, width=4)


@pytest.mark.parametrize(
    ("roots", "words"), [([0, 0], "one after the other"), ([1], "one after the other")]
)
def test_trees_in_another_order_are_refused(trees: Trees, roots: list[int], words: str) -> None:
    tensors = trees.tensors() | {"trees.roots": torch.tensor(roots)}
    with pytest.raises(ValueError, match=words):
        Trees.of(tensors, width=4)


def test_a_node_that_leads_into_another_tree_is_refused(trees: Trees) -> None:
    tensors = {name: tensor.clone() for name, tensor in trees.tensors().items()}
    tensors["trees.nodes"][0, 1] = int(trees.roots[1])
    with pytest.raises(ValueError, match="into another tree"):
        Trees.of(tensors, width=4)


def test_some_rows_are_drawn_of_many_and_all_of_few() -> None:
    assert some_rows(3, 5, seed=0).tolist() == [0, 1, 2]
    drawn = some_rows(1_000, 100, seed=0)
    assert len(set(drawn.tolist())) == 100
    assert (np.diff(drawn) > 0).all()
    assert drawn[-1] > 900


def test_trees_end_where_each_row_leads_by_hand(trees: Trees) -> None:
    features = drawn(30, 5).features
    wanted = []
    for row in features:
        total = float(trees.base[0])
        for root in trees.roots.tolist():
            node = root
            while True:
                feature, low, high = trees.nodes[node].tolist()
                following = low if row[feature] <= trees.numbers[node, 0] else high
                if following == node:
                    break
                node = following
            total += trees.numbers[node, 1]
        wanted.append(total)
    np.testing.assert_allclose(trees.logits(features), wanted, atol=1e-12)


def test_a_bag_has_a_share_of_few_rows_and_no_more_than_enough_of_many() -> None:
    assert [_bag_size(count) for count in (1, 100, 10_000_000)] == [1, 70, BAG_ROWS]


def test_of_many_validation_rows_some_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "CHOOSING_ROWS", 100)
    asked = []

    def counted(labels: np.ndarray, scores: np.ndarray) -> float:
        asked.append(len(labels))
        return auc_of_fit(labels, scores)

    monkeypatch.setattr(heads, "auc", counted)
    config = StatisticsConfig(rounds=3, bags=1, leaf_rows=20)
    fit_heads(drawn(200, 0), drawn(400, 1), config, seed=0)
    assert set(asked) == {100}
