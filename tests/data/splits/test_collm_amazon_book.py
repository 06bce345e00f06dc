from collections.abc import Callable

import polars as pl
import pytest

from corarec.data.labels import LabelConfig
from corarec.data.raw import RawData
from corarec.data.splits.collm_amazon_book import CollmAmazonBook

MakeRaw = Callable[..., RawData]

JANUARY, DECEMBER, NEXT_YEAR = 1_483_228_800, 1_512_086_400, 1_514_764_800
DAY = 86_400


@pytest.fixture
def world(make_raw: MakeRaw) -> RawData:
    """21 users who rate 21 books each; the metadata lists the books backwards."""
    rows = [
        (f"user {user}", f"book {book:02}", 5.0 if (user + book) % 3 else 4.0, time)
        for user in range(21)
        for book in range(21)
        for time in [DECEMBER + book * DAY if book > 17 else JANUARY + book * DAY]
    ]
    extra: list[tuple[str, str, float | None, int | None]] = [
        ("idle", "book 00", 5.0, JANUARY),
        ("user 0", "rare", 5.0, JANUARY),
        ("user 0", "book 00", 5.0, JANUARY - 1),
        ("user 0", "book 00", 5.0, NEXT_YEAR),
        ("user 0", "book 00", None, JANUARY),
        ("user 0", "unlisted", 5.0, JANUARY),
    ]
    titles = {f"book {book:02}": f"Book {book}" for book in reversed(range(21))} | {"rare": ""}
    return make_raw([*rows, *extra], titles)


def test_the_year_and_the_active_users_and_items_stay(world: RawData) -> None:
    rows = CollmAmazonBook().apply(world, LabelConfig()).rows
    assert len(rows) == 21 * 21
    assert rows["user"].n_unique() == rows["item"].n_unique() == 21
    assert rows["timestamp"].min() == JANUARY


def test_splits(world: RawData) -> None:
    rows = CollmAmazonBook().apply(world, LabelConfig()).rows
    counts = dict(rows["split"].value_counts().iter_rows())
    assert counts == {"train": 21 * 18, "valid": 31, "test": 32}
    valid, test = rows.filter(pl.col("split") == "valid"), rows.filter(pl.col("split") == "test")
    assert valid["timestamp"].max() <= test["timestamp"].min()  # type: ignore[operator]
    # The tie in the middle goes by the order of rows: that of users inside the 20th book.
    tied = pl.col("timestamp") == DECEMBER + 19 * DAY
    assert sorted(valid.filter(tied)["user_id"]) == list(range(1, 11))


def test_ids_go_by_first_appearance_in_the_order_of_the_metadata(world: RawData) -> None:
    rows = CollmAmazonBook().apply(world, LabelConfig()).rows
    ids = rows.select("item", "item_id").unique()
    assert dict(ids.iter_rows()) == {f"book {book:02}": 21 - book for book in range(21)}
    assert rows.filter(pl.col("user_id") == 1)["user"].unique().to_list() == ["user 0"]


def test_labels_and_order(world: RawData) -> None:
    rows = CollmAmazonBook().apply(world, LabelConfig()).rows
    assert ((rows["rating"] >= 5) == (rows["label"] == 1)).all()
    expected = rows.sort("user_id", "timestamp", maintain_order=True)
    assert rows.equals(expected)


def test_twenty_ratings_are_not_enough(make_raw: MakeRaw) -> None:
    rows = [(f"u{n % 21}", f"b{n // 21}", 5.0, JANUARY + n) for n in range(21 * 21)]
    raw = make_raw([*rows, ("v", "b0", 5.0, JANUARY)] + [("v", f"b{n}", 5.0, 5) for n in range(30)])
    users = CollmAmazonBook().apply(raw, LabelConfig()).rows["user"]
    assert "v" not in users
    assert users.n_unique() == 21
