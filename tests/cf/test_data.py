from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from corarec.cf.data import FitData
from corarec.errors import DataError
from corarec.types import Pairs

PairsOf = Callable[..., Pairs]


def test_labels_must_match_the_pairs(checkerboard: FitData) -> None:
    with pytest.raises(DataError, match="training split has 348 pairs but 347 labels"):
        replace(checkerboard, train_labels=checkerboard.train_labels[1:])


def test_a_part_must_have_rows(checkerboard: FitData) -> None:
    nothing = np.zeros(0, dtype=np.int64)
    with pytest.raises(DataError, match="validation split is empty"):
        replace(checkerboard, valid=checkerboard.valid.take(nothing), valid_labels=nothing)


def test_labels_must_be_0_or_1(checkerboard: FitData) -> None:
    with pytest.raises(DataError, match="must be 0 or 1, but 5 occurs"):
        replace(checkerboard, train_labels=checkerboard.train_labels * 5)


def test_both_classes_must_occur(checkerboard: FitData) -> None:
    ones = np.ones_like(checkerboard.valid_labels)
    with pytest.raises(DataError, match="All 87 validation labels are 1"):
        replace(checkerboard, valid_labels=ones)


def test_ids_must_lie_in_the_dataset(checkerboard: FitData, pairs_of: PairsOf) -> None:
    labels = np.array([0, 1])
    with pytest.raises(DataError, match="Training row 1 has user id 31, but ids run from 0 to 30"):
        replace(checkerboard, train=pairs_of([1, 31], [1, 2]), train_labels=labels)
    with pytest.raises(DataError, match="Training row 0 has item id -1"):
        replace(checkerboard, train=pairs_of([1, 2], [-1, 2]), train_labels=labels)
    with pytest.raises(DataError, match="liked item id 99"):
        histories = [[], [99]]
        replace(checkerboard, train=pairs_of([1, 2], [1, 2], histories), train_labels=labels)
