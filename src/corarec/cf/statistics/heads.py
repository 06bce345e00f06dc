"""The model's own score: a logistic regression and boosted trees, kept as plain arrays."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from corarec.cf.report import auc
from corarec.cf.statistics.config import StatisticsConfig
from corarec.errors import TrainingError
from corarec.types import FloatArray, IntArray

BAG_SHARE = 0.7
BAG_ROWS = 100_000
"""The most rows of a bag: trees of so few leaves learn nothing more from others."""
TREES = {
    "max_leaf_nodes": 8,
    "learning_rate": 0.03,
    "l2_regularization": 20.0,
    "max_features": 0.3,
    "early_stopping": False,
}
CHOOSING_ROWS = 2**15
"""The most validation rows by which penalty and rounds are chosen."""
ROWS_AT_ONCE = 16_384


@dataclass(frozen=True)
class Labelled:
    """Statistics with labels."""

    features: FloatArray
    """[N, F] standardised and clipped"""
    labels: IntArray
    """[N] 0 or 1"""

    def take(self, rows: np.ndarray) -> "Labelled":
        """Keep some of the rows."""
        return Labelled(self.features[rows], self.labels[rows])


@dataclass(frozen=True)
class Linear:
    """A logistic regression."""

    weights: FloatArray
    """[F + 1], the intercept last"""

    def logits(self, features: FloatArray) -> FloatArray:
        """Return the logits: [N]."""
        return np.asarray(features @ self.weights[:-1] + self.weights[-1])


@dataclass(frozen=True)
class Trees:
    """Boosted trees; `n` nodes of all of them, one tree after the other."""

    roots: IntArray
    """[T] the first node of each tree"""
    nodes: IntArray
    """[n, 3] feature, and the next node where it is at most the threshold, and where not; a leaf
    leads to itself"""
    numbers: FloatArray
    """[n, 2] threshold and value; the values are scaled to be summed"""
    base: FloatArray
    """[1] the logit before the first tree"""

    def logits(self, features: FloatArray) -> FloatArray:
        """Return the logits: [N]."""
        result = np.full(len(features), float(self.base[0]))
        trees = self._plain
        for start in range(0, len(features), ROWS_AT_ONCE):
            columns = np.ascontiguousarray(features[start : start + ROWS_AT_ONCE].T)
            total = result[start : start + ROWS_AT_ONCE]
            for values, inner in trees:
                found: list[float | FloatArray] = list(values)
                for place, feature, threshold, low, high in inner:
                    goes_low = columns[feature] <= threshold
                    found[place] = np.where(goes_low, found[low], found[high])
                total += found[0]
        return result

    @cached_property
    def _plain(self) -> list[tuple[list[float], list[tuple[int, int, float, int, int]]]]:
        """Of each tree the values of its nodes, and its inner nodes, the last first.

        A node comes before those that it leads to, so that a value is there when it is asked for.
        """
        found = []
        own = np.arange(len(self.nodes))
        inner = (self.nodes[:, 1:] != own[:, None]).any(axis=1)
        for root, end in zip(self.roots, [*self.roots[1:], len(self.nodes)], strict=True):
            places = np.flatnonzero(inner[root:end])[::-1]
            nodes = self.nodes[root:end][places] - [0, root, root]
            thresholds = self.numbers[root:end, 0][places].tolist()
            steps = [
                (place, feature, threshold, low, high)
                for place, threshold, (feature, low, high) in zip(
                    places.tolist(), thresholds, nodes.tolist(), strict=True
                )
            ]
            found.append((self.numbers[root:end, 1].tolist(), steps))
        return found

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all of it by name."""
        names = ("roots", "nodes", "numbers", "base")
        return {f"trees.{name}": torch.from_numpy(getattr(self, name)) for name in names}

    @classmethod
    def of(cls, tensors: dict[str, torch.Tensor], width: int) -> "Trees":
        """Take over what `tensors` returned, for `width` features.

        Raises
        ------
        KeyError, ValueError
            A tensor is missing, or a node leads nowhere.
        """
        names = ("roots", "nodes", "numbers", "base")
        trees = cls(*(tensors[f"trees.{name}"].numpy() for name in names))
        size = len(trees.nodes)
        if trees.nodes.shape != (size, 3) or trees.numbers.shape != (size, 2):
            raise ValueError("nodes and numbers of the trees differ in number")
        if size and (
            min(trees.nodes.min(), trees.roots.min()) < 0 or trees.nodes[:, 1:].max() >= size
        ):
            raise ValueError("a node of the trees leads nowhere")
        if not len(trees.roots) or not size or (trees.roots >= size).any():
            raise ValueError("there are no trees, or one begins nowhere")
        if trees.nodes[:, 0].max() >= width:
            raise ValueError("a node of the trees reads what is not there")
        own, ends = np.arange(size), np.append(trees.roots[1:], size)
        if trees.roots[0] or (ends <= trees.roots).any():
            raise ValueError("the trees are not one after the other")
        low, high = trees.nodes[:, 1:].T
        later = (np.minimum(low, high) > own) | ((low == own) & (high == own))
        if not later.all():
            raise ValueError("the nodes of the trees lead in a circle")
        if (np.maximum(low, high) >= np.repeat(ends, ends - trees.roots)).any():
            raise ValueError("a node of the trees leads into another tree")
        return trees


@dataclass(frozen=True)
class Heads:
    """What makes a score of statistics: one part or both."""

    linear: Linear | None
    trees: Trees | None

    def by_name(self, features: FloatArray) -> dict[str, FloatArray]:
        """Return the logits of the parts, `lr` and `trees`: [N] each."""
        parts = {"lr": self.linear, "trees": self.trees}
        return {name: part.logits(features) for name, part in parts.items() if part is not None}

    def logits(self, features: FloatArray) -> FloatArray:
        """Return the mean of the parts' logits: [N]."""
        return np.mean(list(self.by_name(features).values()), axis=0)

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all of it by name."""
        linear = {} if self.linear is None else {"linear": torch.from_numpy(self.linear.weights)}
        return linear | ({} if self.trees is None else self.trees.tensors())

    @classmethod
    def of(cls, tensors: dict[str, torch.Tensor], width: int, head: str) -> "Heads":
        """Take over what `tensors` returned, for `width` features.

        Raises
        ------
        KeyError, ValueError
            A tensor is missing, or is not of so many features.
        """
        linear = None if head == "trees" else Linear(tensors["linear"].numpy())
        if linear is not None and linear.weights.shape != (width + 1,):
            raise ValueError(f"the regression is not of {width} statistics")
        return cls(linear, None if head == "lr" else Trees.of(tensors, width))


def fit_heads(train: Labelled, valid: Labelled, config: StatisticsConfig, seed: int) -> Heads:
    """Fit the parts that are asked for."""
    linear = trees = None
    valid = valid.take(some_rows(len(valid.labels), CHOOSING_ROWS, seed))
    if config.head != "trees":
        linear = fit_linear(train, valid, config.inverse_penalties)
    if config.head != "lr":
        trees = fit_trees(train, valid, config, seed)
    return Heads(linear, trees)


def some_rows(count: int, most: int, seed: int) -> IntArray:
    """Return all rows, or so many of them, drawn without replacement, ascending."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def fit_linear(train: Labelled, valid: Labelled, inverse_penalties: tuple[float, ...]) -> Linear:
    """Fit a logistic regression with the penalty that does best on validation."""
    best: tuple[float, Linear] | None = None
    for inverse_penalty in inverse_penalties:
        model = LogisticRegression(C=inverse_penalty, max_iter=1000)
        model.fit(train.features, train.labels)
        linear = Linear(np.append(model.coef_[0], model.intercept_))
        area = auc(valid.labels, linear.logits(valid.features))
        if best is None or area > best[0]:
            best = area, linear
    assert best is not None  # at least one penalty came
    return best[1]


def fit_trees(train: Labelled, valid: Labelled, config: StatisticsConfig, seed: int) -> Trees:
    """Fit boosted trees with the number of rounds that does best on validation.

    Several ensembles are averaged, each of them on another share of the rows.
    """
    random = np.random.default_rng(seed)
    models = []
    for _ in range(config.bags):
        drawn = np.sort(random.permutation(len(train.labels))[: _bag_size(len(train.labels))])
        if len(np.unique(train.labels[drawn])) < 2:
            drawn = np.arange(len(train.labels))
        leaf_rows = max(1, min(config.leaf_rows, len(drawn) // 4))
        model = HistGradientBoostingClassifier(
            max_iter=config.rounds,
            min_samples_leaf=leaf_rows,
            random_state=int(random.integers(2**31)),
            **TREES,
        )
        models.append(model.fit(train.features[drawn], train.labels[drawn]))
    best, rounds, kept = -1.0, 0, np.zeros(0)
    staged = zip(*(model.staged_decision_function(valid.features) for model in models), strict=True)
    for number, of_models in enumerate(staged, start=1):
        logits = np.mean(of_models, axis=0)
        if (area := auc(valid.labels, logits)) > best:
            best, rounds, kept = area, number, logits
    trees = _plain(models, rounds)
    if not np.allclose(trees.logits(valid.features), kept, atol=1e-6):
        raise TrainingError(
            "The boosted trees of this version of scikit-learn are not as they are read here. "
            "Choose head: lr, or install another version of scikit-learn."
        )
    return trees


def _bag_size(count: int) -> int:
    return min(max(1, round(BAG_SHARE * count)), BAG_ROWS)


def _plain(models: list[Any], rounds: int) -> Trees:
    """Return the first rounds of all models as arrays, for the mean of their logits."""
    roots, nodes, numbers, size = [], [], [], 0
    for model in models:
        for (predictor,) in model._predictors[:rounds]:
            tree = predictor.nodes
            own = np.arange(len(tree)) + size
            leaf = tree["is_leaf"].astype(bool)
            low = np.where(leaf, own, tree["left"].astype(np.int64) + size)
            high = np.where(leaf, own, tree["right"].astype(np.int64) + size)
            feature = np.where(leaf, 0, tree["feature_idx"].astype(np.int64))
            threshold = np.where(leaf, 0.0, tree["num_threshold"])
            value = np.where(leaf, tree["value"], 0.0) / len(models)
            roots.append(size)
            nodes.append(np.stack([feature, low, high], axis=1))
            numbers.append(np.stack([threshold, value], axis=1))
            size += len(tree)
    base = np.mean([model._baseline_prediction for model in models])
    return Trees(
        roots=np.array(roots, dtype=np.int64),
        nodes=np.concatenate(nodes),
        numbers=np.concatenate(numbers),
        base=np.array([base], dtype=np.float64),
    )
