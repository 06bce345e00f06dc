from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from corarec.errors import TrainingError
from corarec.recommenders.base import Batch, Recommender
from corarec.types import Histories, IntArray, Pairs


class Echo(Recommender):
    """Gives back the item id, after dropout in training."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.frozen = nn.Parameter(torch.ones(7), requires_grad=False)
        self.batches: list[list[int]] = []

    def inputs(self, pairs: Pairs) -> "EchoInputs":
        return EchoInputs(pairs)

    def forward(self, **batch: torch.Tensor) -> torch.Tensor:
        self.batches.append(batch["items"].int().tolist())
        return nn.functional.dropout(batch["items"] * self.weight, 0.9, self.training)

    def save(self, folder: Path) -> None:
        raise NotImplementedError

    def load(self, folder: Path) -> None:
        raise NotImplementedError


class EchoInputs:
    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self.lengths: IntArray = pairs.item_ids % 4

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, rows: IntArray) -> Batch:
        return {"items": torch.from_numpy(self.pairs.item_ids[rows]).float()}


def pairs_of(items: list[int]) -> Pairs:
    count = len(items)
    return Pairs(np.arange(count), np.array(items), Histories.from_lists([[]] * count))


def test_scores_come_in_the_order_of_the_pairs_and_like_lengths_share_a_batch() -> None:
    echo = Echo()
    counts: list[int] = []
    items = [4, 1, 7, 2, 3, 8]
    scores = echo.score(pairs_of(items), batch_size=2, progress=counts.append)
    assert scores.tolist() == items
    assert scores.dtype == np.float64
    lengths = [[item % 4 for item in batch] for batch in echo.batches]
    assert [sorted(batch) for batch in lengths] == [[3, 3], [1, 2], [0, 0]]
    assert counts == [2, 2, 2]


def test_scoring_evaluates_and_gives_the_mode_back() -> None:
    echo = Echo()
    assert echo.training
    assert echo.score(pairs_of([5])).tolist() == [5]
    assert echo.training
    echo.eval()
    echo.score(pairs_of([5]))
    assert not echo.training


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_names_its_pair_and_restores_the_mode(value: float) -> None:
    echo = Echo()
    echo.weight.data.fill_(value)
    with pytest.raises(TrainingError, match=r"Echo gave (nan|inf) for pair 0 \(user 0, item 5\)"):
        echo.score(pairs_of([5, 6]))
    assert echo.training


def test_only_what_is_trained_is_counted_and_no_pairs_have_no_scores() -> None:
    echo = Echo()
    assert echo.trainable_parameters() == 1
    assert echo.score(pairs_of([])).shape == (0,)
    assert echo.device == torch.device("cpu")
