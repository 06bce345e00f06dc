from collections.abc import Sequence

import numpy as np
import pytest
import torch

from corarec.data import Dataset
from corarec.errors import ConfigError
from corarec.recommenders import TrainingData
from corarec.recommenders.ranking_validation import RankingValidation
from corarec.score.batches import Batch
from corarec.types import IntArray, Pairs


class Prompts:
    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        self.lengths: IntArray = pairs.histories.lengths()

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, rows: IntArray) -> Batch:
        return {"users": torch.from_numpy(self.pairs.user_ids[rows])}


class Oracle:
    """Knows what every user likes in the validation rows, and puts it first."""

    training = False
    device = torch.device("cpu")

    def __init__(self, dataset: Dataset, sign: float) -> None:
        rows = dataset.rows("valid")
        rows = rows[dataset.labels(rows) == 1]
        pairs = dataset.pairs(rows)
        self.scores = torch.zeros(dataset.num_users + 1, dataset.num_items + 1)
        self.scores[pairs.user_ids, pairs.item_ids] = sign
        self.contexts: list[Pairs] = []

    def inputs(self, pairs: Pairs, new_titles: Sequence[str] = ()) -> Prompts:
        self.contexts.append(pairs)
        return Prompts(pairs)

    def logits(self, **batch: torch.Tensor) -> torch.Tensor:
        raise AssertionError("pairs are not asked about")

    def catalogue_logits(self, **batch: torch.Tensor) -> torch.Tensor:
        return self.scores[batch["users"]]


def data(dataset: Dataset) -> TrainingData:
    return TrainingData(dataset, dataset.rows("train"), dataset.rows("valid"))


def test_the_perfect_order_has_all_there_is_and_the_worst_less(small_world: Dataset) -> None:
    best = RankingValidation(Oracle(small_world, 1), data(small_world))()
    assert best == {
        "ranking": 3.0,
        "capped_recall@20": 1.0,
        "capped_recall@40": 1.0,
        "ndcg@100": 1.0,
    }
    worst = RankingValidation(Oracle(small_world, -1), data(small_world))()
    assert worst["capped_recall@20"] < 0.2
    assert worst["ranking"] == pytest.approx(sum(list(worst.values())[1:]))


def test_users_are_asked_for_with_what_was_liked_before_the_validation_rows(
    small_world: Dataset,
) -> None:
    oracle = Oracle(small_world, 1)
    RankingValidation(oracle, data(small_world))()
    table = small_world.interactions
    train = (table["split"] == "train").to_numpy() & (table["label"] == 1).to_numpy()
    for pairs in oracle.contexts:
        for row, user in enumerate(pairs.user_ids.tolist()):
            liked = table["item_id"].to_numpy()[train & (table["user_id"] == user).to_numpy()]
            assert pairs.histories[row].tolist() == liked.tolist()


def test_validation_rows_without_anything_new_are_refused(small_world: Dataset) -> None:
    disliked = small_world.rows("valid")[small_world.labels("valid") == 0]
    nothing = TrainingData(small_world, small_world.rows("train"), disliked)
    with pytest.raises(ConfigError, match=r"validation rows that the user has not met in train"):
        RankingValidation(Oracle(small_world, 1), nothing)
    assert len(np.unique(disliked)) > 0
