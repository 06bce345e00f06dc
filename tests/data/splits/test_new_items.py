from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from corarec.data import Dataset, KnowledgePolicy, LabelConfig, PrepareConfig, prepare
from corarec.data.raw import RawData
from corarec.data.splits.new_items import NewItems
from corarec.errors import DataError

SIZE = {"num_users": 40, "num_items": 60, "interactions_per_user": 20}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return prepare(
        PrepareConfig(
            source="synthetic",
            output=tmp_path_factory.mktemp("data") / "new",
            split="new-items",
            source_options=SIZE,
            split_options={"seed": 3},
        )
    )


def test_each_part_has_items_of_its_own_and_every_user_is_known(world: Dataset) -> None:
    parts = {part: world.interactions.filter(pl.col("split") == part) for part in world.card.counts}
    items = {part: set(rows["item_id"]) for part, rows in parts.items()}
    assert not items["train"] & items["valid"]
    assert not items["train"] & items["test"]
    assert not items["valid"] & items["test"]
    assert len(items["valid"]) == len(items["test"]) == round(0.2 * world.num_items) // 2
    train_users = set(parts["train"]["user_id"])
    assert set(parts["valid"]["user_id"]) | set(parts["test"]["user_id"]) <= train_users
    assert all(counts.warm == 0 for part, counts in world.card.counts.items() if part != "train")


def test_histories_show_training_rows_alone_whatever_the_policy(world: Dataset) -> None:
    train_items = set(world.interactions.filter(pl.col("split") == "train")["item_id"])
    for policy in ("train", "snapshot", "streaming"):
        known = world.under(KnowledgePolicy.model_validate(policy))
        histories = known.pairs(np.arange(len(known))).histories
        assert set(histories.liked_items.tolist()) <= train_items
        assert set(known.log.item_ids.tolist()) <= train_items


def test_another_seed_draws_others_and_the_same_the_same(
    make_raw: Callable[..., RawData],
) -> None:
    rows = [(f"u{n % 7}", f"i{n % 20}", 1 + n % 5, n) for n in range(140)]

    def new(seed: int) -> set[str]:
        result = NewItems(seed=seed).apply(make_raw(rows), LabelConfig())
        return set(result.rows.filter(pl.col("split") != "train")["item"])

    assert new(1) == new(1)
    assert len({frozenset(new(seed)) for seed in range(5)}) > 1


def test_negatives_are_drawn_among_the_items_of_their_part(
    make_raw: Callable[..., RawData],
) -> None:
    rows = [(f"u{n % 9}", f"i{(n * 7) % 40}", None, n) for n in range(180)]
    result = NewItems(share=0.5).apply(make_raw(rows), LabelConfig())
    by_part = {part[0]: set(table["item"]) for part, table in result.rows.group_by(["split"])}
    assert not by_part["train"] & (by_part["valid"] | by_part["test"])
    assert result.positives_only
    assert "in each part" in result.labels
    assert (result.rows["label"] == 0).sum() * 2 == len(result.rows)


def test_too_few_items(make_raw: Callable[..., RawData]) -> None:
    rows = [(f"u{n}", f"i{n % 4}", 1 + n % 5, n) for n in range(20)]
    with pytest.raises(DataError, match="4 items, 1 of which would be new; wanted"):
        NewItems().apply(make_raw(rows), LabelConfig())


def test_some_new_items_can_have_their_earliest_rows_in_train(
    make_raw: Callable[..., RawData],
) -> None:
    random = np.random.default_rng(0)
    rows = [
        (f"u{n % 97}", f"i{n % 100}", 1 + n % 5, int(time))
        for n, time in enumerate(random.permutation(6_000))
    ]
    plain = NewItems(share=0.4).apply(make_raw(rows), LabelConfig()).rows
    found = NewItems(share=0.4, shown=20).apply(make_raw(rows), LabelConfig()).rows
    new = plain.filter(pl.col("split") != "train")["item"].unique()
    of_new = found.filter(pl.col("item").is_in(new.implode()))
    times = of_new.group_by("item").agg(
        kept=(pl.col("split") == "train").sum(),
        last=pl.col("timestamp").filter(pl.col("split") == "train").max(),
        first=pl.col("timestamp").filter(pl.col("split") != "train").min(),
    )
    assert (times["kept"] <= 20).all()
    assert times["kept"].n_unique() > 6
    assert (times["kept"] == 0).sum() >= 4
    some = times.filter(pl.col("kept") > 0)
    assert (some["last"] < some["first"]).all()
    assert len(found) == len(plain)
