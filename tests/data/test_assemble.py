from collections.abc import Callable

import polars as pl
import pytest

from corarec.data.assemble import assemble
from corarec.data.dataset import Dataset
from corarec.data.labels import LabelConfig
from corarec.data.raw import RawData
from corarec.data.splits.leave_last_out import LeaveLastOut

MakeRaw = Callable[..., RawData]


@pytest.fixture
def dataset(make_raw: MakeRaw) -> Dataset:
    # Users a and b have three rows each: train, valid, test. User c has one, in train.
    rows = [("a", "x", 5.0, 1), ("a", "y", 1.0, 2), ("a", "z", 4.0, 3)]
    rows += [("b", "y", 2.0, 1), ("b", "x", 5.0, 2), ("b", "new", 3.0, 3), ("c", "z", 5.0, 9)]
    raw = make_raw(rows, {item: item.upper() for item in ("x", "y", "z", "new", "unused")})
    rule = LeaveLastOut()
    result = rule.apply(raw, LabelConfig())
    return assemble(raw, result, {"f": "abc"}, source=("toy", rule), split=("leave", rule))


def test_warm_is_a_user_and_an_item_of_train(dataset: Dataset) -> None:
    test = dataset.interactions.filter(pl.col("split") == "test")
    assert dict(zip(test["user_id"], test["warm"], strict=True)) == {1: True, 2: False}
    assert dataset.interactions.filter(pl.col("split") == "train")["warm"].all()


def test_tables_have_a_row_per_id_in_order(dataset: Dataset) -> None:
    assert dataset.titles[0] == ""
    assert dataset.titles[1:] == [title.upper() for title in dataset.items["raw_id"]]
    assert "UNUSED" not in dataset.titles
    assert dataset.items["item_id"].to_list() == [1, 2, 3, 4]
    assert dataset.users["raw_id"].to_list() == ["a", "b", "c"]


def test_the_card_counts_what_is_there(dataset: Dataset) -> None:
    card = dataset.card
    assert (card.num_users, card.num_items, card.source, card.split) == (3, 4, "toy", "leave")
    assert card.inputs == {"f": "abc"}
    train, test = card.counts["train"], card.counts["test"]
    assert (train.rows, train.users, train.items, train.positives, train.warm) == (3, 3, 3, 2, 3)
    assert (test.rows, test.positives, test.warm) == (2, 1, 1)
