"""Ridge regressions on genres and years: new items, and rows left out exactly."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from corarec.cf import load_cf
from corarec.cf.data import FitData, TrainingPairs
from corarec.cf.report import auc
from corarec.cf.ridge.content import Content, ContentConfig
from corarec.errors import ConfigError, DataError
from corarec.types import Histories, IntArray, Pairs

USERS, ITEMS = 40, 60
GENRES = np.arange(ITEMS) % 4
NEW = np.arange(50, ITEMS + 1)


def pairs_of(users: IntArray, items: IntArray) -> Pairs:
    return Pairs(users, items, Histories.from_lists([[]] * len(users)))


def world() -> tuple[FitData, Pairs, IntArray]:
    """Users of odd number like the genres 0 and 1, the others 2 and 3; items from 50 on are new."""
    users, items = (
        grid.ravel() for grid in np.meshgrid(np.arange(1, USERS + 1), np.arange(1, ITEMS + 1))
    )
    odds = np.where((GENRES[items - 1] < 2) == (users % 2 == 1), 0.85, 0.15)
    labels = (np.random.default_rng(0).random(len(users)) < odds).astype(np.int64)
    draw = np.random.default_rng(1).random(len(users))
    old = items < NEW[0]
    train, valid = np.flatnonzero(old & (draw < 0.5)), np.flatnonzero(old & (draw > 0.8))
    titles = [f"Film {n} ({1950 + n})" for n in range(ITEMS)]
    table = pl.DataFrame({"title": titles, "genres": [f"genre {n}" for n in GENRES]})
    data = FitData(
        pairs_of(users[train], items[train]),
        labels[train],
        pairs_of(users[valid], items[valid]),
        labels[valid],
        USERS,
        ITEMS,
        item_table=table,
    )
    test = np.flatnonzero(~old)
    return data, pairs_of(users[test], items[test]), labels[test]


@pytest.fixture(scope="module")
def fitted() -> Content:
    model = Content(ContentConfig(penalty=2))
    model.fit(world()[0], seed=0)
    return model


def test_it_knows_new_items_by_their_content(fitted: Content) -> None:
    _, new, labels = world()
    assert auc(labels, fitted.score(new)) > 0.7
    table = fitted.vector_table(new)
    assert not table.items.any()  # their half is of items that were rated
    assert table.matches is not None
    assert table.matches[:, 0].std() > 0.1
    assert fitted.match_size == table.match_size == 2
    bare = Content(ContentConfig(penalty=2))
    data, _, _ = world()
    bare.fit(FitData(data.train, data.train_labels, data.valid, data.valid_labels, 40, 60), seed=0)
    assert auc(labels, bare.score(new)) < 0.6


def test_a_training_row_is_left_out_exactly(fitted: Content) -> None:
    data, _, _ = world()
    marked = TrainingPairs.of(data.train, data.train_labels.astype(np.float64))
    row = 7
    state = fitted._fitted()
    keep = np.delete(np.arange(len(data.train)), row)
    without = fitted._new(state.rows[keep], state.content, state.general, state.first_biases)
    user, item = (int(ids[row]) for ids in (data.train.user_ids, data.train.item_ids))
    table = fitted.vector_table(marked)
    users, items = table.lookup(np.array([row]))
    side = without.item_side  # of another rate: near, not the same
    assert items[0, -1].item() == pytest.approx(side.coefficients[item, 0].item(), abs=0.01)
    whole = fitted.vector_table(data.train)
    assert (whole.lookup(np.array([row]))[1][0, -1] - items[0, -1]).abs() > 0.01
    own = state.user_side.table[state.rows[state.rows[:, 0] == user, 1]]
    assert users.shape[1] == own.shape[1] + 1
    flipped = 1 - data.train_labels[row]
    for label in (flipped,):
        labels = data.train_labels.astype(np.float64).copy()
        labels[row] = label
        with pytest.raises(DataError, match="marked as a training row"):
            fitted.vector_table(TrainingPairs.of(data.train, labels))
    honest = auc(data.train_labels, fitted.score(marked))
    assert honest < auc(data.train_labels, fitted.score(data.train)) - 0.02


def test_it_is_the_same_after_loading(fitted: Content, tmp_path: Path) -> None:
    fitted.save(tmp_path / "cf")
    again = load_cf(tmp_path / "cf")
    _, new, _ = world()
    np.testing.assert_array_equal(again.score(new), fitted.score(new))
    assert torch.equal(again.vector_table(new).users, fitted.vector_table(new).users)


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="'mood'"):
        Content(ContentConfig(genres="mood")).fit(world()[0], seed=0)
