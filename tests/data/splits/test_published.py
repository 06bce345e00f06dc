from collections.abc import Callable

import polars as pl
import pytest

from corarec.data.labels import LabelConfig
from corarec.data.raw import RawData
from corarec.data.splits.published import Published
from corarec.data.storage import SplitType
from corarec.errors import DataError

MakeRaw = Callable[..., RawData]


def test_the_splits_of_the_source_are_kept(make_raw: MakeRaw) -> None:
    given = pl.Series(["test", "train", "valid"], dtype=SplitType)
    raw = make_raw([("a", "x", 5.0, 1), ("a", "y", 1.0, 2), ("a", "z", 1.0, 3)], split=given)
    rows = Published().apply(raw, LabelConfig()).rows
    assert rows["split"].to_list() == ["test", "train", "valid"]


def test_a_source_without_splits(make_raw: MakeRaw) -> None:
    raw = make_raw([("a", "x", 5.0, 1)])
    with pytest.raises(DataError, match=r"toy\.csv does not say which row belongs to train"):
        Published().apply(raw, LabelConfig())
