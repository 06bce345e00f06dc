from collections.abc import Callable

import polars as pl
import pytest
from pydantic import ValidationError

from corarec.data.labels import (
    LabelConfig,
    add_negatives,
    has_positives_only,
    label_rows,
    require_default_labels,
)
from corarec.data.raw import RawData
from corarec.errors import ConfigError, DataError

MakeRaw = Callable[..., RawData]


def positives(likes: dict[str, str]) -> pl.DataFrame:
    """One positive per (user, letter), a second apart."""
    rows = [(user, item) for user, items in likes.items() for item in items]
    return pl.DataFrame(rows, schema=["user", "item"], orient="row").with_columns(
        timestamp=pl.int_range(pl.len()),
        rating=pl.lit(None, pl.Float32),
        label=pl.lit(1, pl.Int8),
        split=pl.lit("train"),
    )


def test_a_rating_at_the_threshold_is_a_positive() -> None:
    rows, how = label_rows(pl.DataFrame({"rating": [3.5, 4.0, 5.0]}), 4.0)
    assert rows["label"].to_list() == [0, 1, 1]
    assert how == "positive where the rating is at least 4"


def test_labels_of_the_source_are_kept() -> None:
    table = pl.DataFrame({"rating": [5.0, 1.0], "label": [0, 1]})
    assert label_rows(table, 4.0)[0]["label"].to_list() == [0, 1]


def test_data_without_ratings_is_positives_only() -> None:
    table = pl.DataFrame({"rating": [None, None]}, schema={"rating": pl.Float32})
    rows, _ = label_rows(table, 4.0)
    assert rows["label"].to_list() == [1, 1]
    assert has_positives_only(rows)
    assert not has_positives_only(label_rows(pl.DataFrame({"rating": [5.0]}), 4.0)[0])


@pytest.mark.parametrize("ratio", [1, 3])
def test_negatives_are_never_known_positives(ratio: int) -> None:
    table = positives({"u": "abcd", "v": "e", "w": "abcdfg"})
    rows, how = add_negatives(table, LabelConfig(negatives=ratio, seed=3))
    drawn = rows.filter(pl.col("label") == 0)
    assert len(drawn) == ratio * len(table)
    assert drawn.join(table, on=["user", "item"], how="inner").is_empty()
    assert set(drawn["item"]) <= set("abcdefg")
    assert f"{ratio} negative" in how
    assert "seed 3" in how


def test_a_negative_stands_before_its_positive_at_its_time() -> None:
    rows, _ = add_negatives(positives({"u": "ab", "v": "c"}), LabelConfig(negatives=2))
    assert rows["label"].to_list() == [0, 0, 1] * 3
    assert rows["timestamp"].to_list() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert rows["user"].to_list() == ["u"] * 6 + ["v"] * 3


def test_negatives_are_drawn_by_the_seed() -> None:
    table = positives({"u": "abcdefgh", "v": "ijklmnop"})
    draws = [
        add_negatives(table, LabelConfig(seed=seed))[0]["item"].to_list() for seed in (1, 1, 2)
    ]
    assert draws[0] == draws[1] != draws[2]


def test_all_items_are_drawn_about_equally() -> None:
    table = positives({f"u{n}": "a" for n in range(3000)} | {"v": "bcde"})
    drawn = add_negatives(table, LabelConfig())[0].filter(
        pl.col("label") == 0, pl.col("user") != "v"
    )
    counts = drawn["item"].value_counts()
    assert sorted(counts["item"]) == list("bcde")
    assert counts["count"].min() > 650  # type: ignore[operator]


def test_a_user_with_every_item_has_no_negatives() -> None:
    with pytest.raises(DataError, match="User 'u' has interacted with all 3 items"):
        add_negatives(positives({"u": "abc", "v": "a"}), LabelConfig())


def test_exact_rules_take_no_label_options(make_raw: MakeRaw) -> None:
    raw = make_raw([("a", "x", 4.0, 1)])
    require_default_labels("collm-ml1m", LabelConfig(), raw)
    with pytest.raises(ConfigError, match="'collm-ml1m' reproduces a published one"):
        require_default_labels("collm-ml1m", LabelConfig(threshold=3), raw)


def test_bounds() -> None:
    with pytest.raises(ValidationError):
        LabelConfig(negatives=0)


def test_a_threshold_says_nothing_where_every_row_is_a_positive() -> None:
    with pytest.raises(ValidationError, match=r"no threshold \(3\); leave out one of the two"):
        LabelConfig(implicit=True, threshold=3)
