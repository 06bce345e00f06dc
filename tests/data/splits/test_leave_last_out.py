from collections.abc import Callable

from corarec.data.labels import LabelConfig
from corarec.data.raw import RawData
from corarec.data.splits.leave_last_out import LeaveLastOut

MakeRaw = Callable[..., RawData]


def test_the_last_two_of_each_user_are_held_out(make_raw: MakeRaw) -> None:
    raw = make_raw(
        [
            ("a", "w", 5.0, 40),
            ("b", "w", 5.0, 1),
            ("a", "x", 1.0, 10),
            ("a", "y", 1.0, 20),
            ("b", "x", 5.0, 2),
            ("a", "z", 5.0, 30),
        ]
    )
    rows = LeaveLastOut().apply(raw, LabelConfig()).rows
    assert rows["item"].to_list() == ["x", "y", "z", "w", "w", "x"]
    assert rows["split"].to_list() == ["train", "train", "valid", "test", "train", "train"]


def test_equal_times_go_by_the_order_of_the_source(make_raw: MakeRaw) -> None:
    raw = make_raw([("a", item, 5.0, 7) for item in "pqrst"])
    rows = LeaveLastOut(count=2).apply(raw, LabelConfig()).rows
    assert rows["item"].to_list() == list("pqrst")
    assert rows["split"].to_list() == ["train", "valid", "valid", "test", "test"]
    rows = LeaveLastOut(count=3).apply(raw, LabelConfig()).rows
    assert set(rows["split"]) == {"train"}


def test_negatives_go_where_their_positive_goes(make_raw: MakeRaw) -> None:
    raw = make_raw(
        [(user, item, None, n) for n, item in enumerate("pqrs") for user in "ab"]
        + [("c", "z", None, 0)]
    )
    rows = LeaveLastOut().apply(raw, LabelConfig()).rows
    of_a = rows.filter(rows["user"] == "a")
    assert of_a["label"].to_list() == [0, 1] * 4
    assert of_a["split"].to_list() == ["train"] * 4 + ["valid"] * 2 + ["test"] * 2
    assert set(of_a.filter(of_a["label"] == 0)["item"]) == {"z"}


def test_equal_times_stay_in_the_order_of_the_source(make_raw: MakeRaw) -> None:
    rows = [(f"u{n % 7}", f"i{n}", 5.0, 0) for n in range(7_000)]
    result = LeaveLastOut().apply(make_raw(rows), LabelConfig()).rows
    for user in range(7):
        own = result.filter(result["user"] == f"u{user}")
        assert own["item"].to_list() == [f"i{n}" for n in range(user, 7_000, 7)]
        assert own["split"].to_list() == ["train"] * 998 + ["valid", "test"]


def test_every_row_is_a_positive_where_that_is_asked_for(make_raw: MakeRaw) -> None:
    raw = make_raw(
        [(user, item, float(n + 1), n) for n, item in enumerate("pqrs") for user in "ab"]
        + [("c", "z", 1.0, 0)]
    )
    result = LeaveLastOut().apply(raw, LabelConfig(implicit=True))
    of_a = result.rows.filter(result.rows["user"] == "a")
    assert of_a["label"].to_list() == [0, 1] * 4
    # What was drawn was not rated, and what happened keeps its stars.
    assert of_a["rating"].to_list() == [None, 1.0, None, 2.0, None, 3.0, None, 4.0]
    assert result.positives_only
    assert result.labels.startswith("interactions are the positives; 1 negative per positive")
