from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from corarec.data import Dataset, PrepareConfig, prepare
from corarec.data.sampling import UserSample
from corarec.errors import DataError


def world(folder: Path, sample: dict[str, Any] | None = None) -> Dataset:
    size = {"num_users": 60, "num_items": 50, "interactions_per_user": 20}
    config = {"source": "synthetic", "output": folder, "split": "published", "sample": sample}
    return prepare(PrepareConfig.model_validate({**config, "source_options": size}))


def named_rows(dataset: Dataset) -> pl.DataFrame:
    """Return the rows with the raw ids of user and item."""
    users = dataset.users.select("user_id", user="raw_id")
    items = dataset.items.select("item_id", item="raw_id")
    joined = dataset.interactions.join(users, on="user_id", maintain_order="left").join(
        items, on="item_id", maintain_order="left"
    )
    return joined.select("user", "item", "label", "timestamp", "split")


def test_a_sample_keeps_the_rows_of_its_users_as_they_are(tmp_path: Path) -> None:
    whole = world(tmp_path / "whole")
    some = world(tmp_path / "some", {"share": 0.5})
    users = set(some.users["raw_id"])
    assert 20 <= len(users) <= 40
    rows = named_rows(whole)
    assert named_rows(some).equals(rows.filter(pl.col("user").is_in(list(users))))
    assert some.users["user_id"].to_list() == list(range(1, len(users) + 1))
    assert some.items["item_id"].to_list() == list(range(1, some.num_items + 1))
    # What is warm is told by what is left of train.
    train = some.interactions.filter(pl.col("split") == "train")
    known = some.interactions["item_id"].is_in(train["item_id"].unique().implode())
    known &= some.interactions["user_id"].is_in(train["user_id"].unique().implode())
    assert some.interactions["warm"].to_list() == known.to_list()


def test_the_card_says_that_users_were_sampled(tmp_path: Path) -> None:
    world(tmp_path / "some", {"share": 0.5, "seed": 3})
    card = Dataset.load(tmp_path / "some").card
    assert card.sample == {"share": 0.5, "seed": 3}
    (note,) = [note for note in card.notes if "a sample of the users" in note]
    assert "(0.5, seed 3)" in note
    assert f"{card.num_users} of 60 users" in note
    assert world(tmp_path / "whole").card.sample is None


def test_larger_samples_hold_smaller_ones_and_seeds_differ(tmp_path: Path) -> None:
    def users(share: float, seed: int = 0) -> set[str]:
        folder = tmp_path / f"{share}-{seed}"
        return set(world(folder, {"share": share, "seed": seed}).users["raw_id"])

    assert users(0.3) < users(0.6) < users(1.0)
    assert users(0.6) != users(0.6, seed=1)


def test_a_whole_sample_is_the_dataset(tmp_path: Path) -> None:
    whole, all_users = world(tmp_path / "whole"), world(tmp_path / "all", {"share": 1})
    assert all_users.fingerprint == whole.fingerprint
    assert np.array_equal(all_users.pairs("test").histories.end, whole.pairs("test").histories.end)


def test_a_sample_of_nobody_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has nobody in it\. Raise --sample-users"):
        world(tmp_path / "none", {"share": 1e-6})
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan"), float("inf"), "half"])
def test_a_share_that_is_none_is_refused(share: Any) -> None:
    with pytest.raises(ValidationError):
        UserSample(share=share)
