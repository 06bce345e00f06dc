import polars as pl

from corarec.data.splits.base import order_and_number


def test_users_by_rank_items_by_first_appearance() -> None:
    rows = pl.DataFrame(
        {"user": ["b", "a", "b", "a"], "item": ["x", "y", "z", "x"], "timestamp": [2, 5, 1, 5]}
    )
    ordered = order_and_number(rows)
    assert ordered.select("user_id", "item_id", "item").rows() == [
        (1, 1, "y"),
        (1, 2, "x"),
        (2, 3, "z"),
        (2, 2, "x"),
    ]


def test_whole_numbers_are_ordered_as_numbers_else_as_text() -> None:
    for users, expected in ((["10", "9"], ["9", "10"]), (["10", "9", "a"], ["10", "9", "a"])):
        rows = pl.DataFrame({"user": users, "item": users, "timestamp": 0})
        assert order_and_number(rows)["user"].to_list() == expected
