from collections.abc import Callable

import pytest

from corarec.data.labels import LabelConfig
from corarec.data.raw import RawData
from corarec.data.splits.collm_ml1m import CollmMl1m
from corarec.errors import ConfigError, DataError

MakeRaw = Callable[..., RawData]

# First and last second of each part, UTC.
TRAIN = (991_353_600, 1_017_619_199)
VALID = (1_017_619_200, 1_030_838_399)
TEST = (1_030_838_400, 1_044_057_599)


def test_months_of_the_splits(make_raw: MakeRaw) -> None:
    times = [TRAIN[0] - 1, *TRAIN, *VALID, *TEST, TEST[1] + 1]
    raw = make_raw([("1", f"{n}", 5.0, time) for n, time in enumerate(times)])
    rows = CollmMl1m().apply(raw, LabelConfig()).rows
    assert rows["timestamp"].to_list() == [*TRAIN, *VALID, *TEST]
    assert rows["split"].to_list() == ["train", "train", "valid", "valid", "test", "test"]


def test_ties_go_by_item_in_order_of_first_appearance_in_the_whole_file(make_raw: MakeRaw) -> None:
    time = TRAIN[0]
    raw = make_raw(
        [
            ("9", "late", 1.0, 5),  # dropped, but its item comes first from here on
            ("2", "b", 5.0, time),
            ("2", "a", 5.0, time),
            ("2", "late", 3.0, time),
            ("2", "b", 1.0, time),
        ]
    )
    rows = CollmMl1m().apply(raw, LabelConfig()).rows
    assert rows["item"].to_list() == ["late", "b", "b", "a"]
    assert rows["label"].to_list() == [0, 1, 0, 1]
    assert rows["item_id"].to_list() == [1, 2, 2, 3]


def test_users_are_numbered_by_rank_of_the_number(make_raw: MakeRaw) -> None:
    raw = make_raw([(user, "x", 4.0, TRAIN[0]) for user in ("10", "9", "100")])
    rows = CollmMl1m().apply(raw, LabelConfig()).rows
    assert rows["user"].to_list() == ["9", "10", "100"]
    assert rows["user_id"].to_list() == [1, 2, 3]


def test_ratings_of_unknown_movies_are_dropped(make_raw: MakeRaw) -> None:
    raw = make_raw([("1", "x", 4.0, TRAIN[0]), ("1", "y", 4.0, TRAIN[0])], titles={"x": "X"})
    assert CollmMl1m().apply(raw, LabelConfig()).rows["item"].to_list() == ["x"]


def test_other_times_and_options_are_refused(make_raw: MakeRaw) -> None:
    raw = make_raw([("1", "x", 4.0, 5)])
    with pytest.raises(DataError, match="no interaction that this split can use"):
        CollmMl1m().apply(raw, LabelConfig())
    with pytest.raises(ConfigError, match="takes no threshold"):
        CollmMl1m().apply(raw, LabelConfig(threshold=3))
