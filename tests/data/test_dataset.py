import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from corarec.data import Dataset, PrepareConfig, Split, prepare
from corarec.data.fingerprint import dataset_fingerprint
from corarec.errors import ConfigError
from corarec.types import Fingerprint


@pytest.fixture
def dataset(ml1m: Path, tmp_path: Path) -> Dataset:
    return prepare(
        PrepareConfig(
            source="movielens", input=ml1m, output=tmp_path / "prepared", split="collm-ml1m"
        )
    )


def test_rows_and_ids(dataset: Dataset) -> None:
    assert (len(dataset), dataset.num_users, dataset.num_items) == (6, 3, 3)
    assert dataset.rows("train").tolist() == [2, 3]
    assert dataset.rows("valid").tolist() == [0, 1]
    assert dataset.rows("test").tolist() == [4, 5]


def test_titles_are_indexed_by_item_id(dataset: Dataset) -> None:
    assert dataset.titles == ["", "Café: The Return (1990)", "Leaf (1992)", "Stone (1991)"]


def test_pairs_know_their_rows_and_no_label(dataset: Dataset) -> None:
    pairs = dataset.pairs(np.array([2, 4]))
    assert pairs.user_ids.tolist() == [2, 2]
    assert pairs.item_ids.tolist() == [2, 3]
    assert pairs.rows is not None
    assert pairs.rows.tolist() == [2, 4]
    assert not any("label" in field for field in vars(pairs))


def test_pairs_of_a_part_and_of_its_rows_are_the_same(dataset: Dataset) -> None:
    by_name, by_rows = dataset.pairs("test"), dataset.pairs(dataset.rows("test"))
    assert by_name.item_ids.tolist() == by_rows.item_ids.tolist() == [3, 1]
    assert [by_name.histories[n].tolist() for n in range(2)] == [[2], []]


def test_score_table_puts_scores_beside_the_truth(dataset: Dataset) -> None:
    table = dataset.score_table("valid", np.array([0.5, -1.0]))
    assert table.labels.tolist() == [1, 0] == dataset.labels("valid").tolist()
    assert table.warm.tolist() == [False, False]
    assert table.scores.tolist() == [0.5, -1.0]


def test_score_table_wants_one_score_per_row(dataset: Dataset) -> None:
    with pytest.raises(ValueError, match="3 scores came for 2 rows"):
        dataset.score_table("valid", np.zeros(3))


def test_sample_is_that_of_pandas(dataset: Dataset) -> None:
    pandas = pytest.importorskip("pandas")
    rows = dataset.rows("valid")
    for fraction in (0.25, 0.5, 1.0):
        theirs = pandas.DataFrame(index=rows).sample(frac=fraction, random_state=2023).index
        ours = dataset.sample("valid", fraction=fraction, seed=2023)
        assert ours.tolist() == theirs.tolist()


def test_save_and_load_give_the_same(dataset: Dataset, tmp_path: Path) -> None:
    dataset.save(tmp_path / "again")
    loaded = Dataset.load(tmp_path / "again")
    assert loaded.card == dataset.card
    assert loaded.interactions.equals(dataset.interactions)
    assert loaded.items.equals(dataset.items)
    assert loaded.users.equals(dataset.users)
    assert loaded.texts is None


def test_a_fingerprint_is_computed_once_for_files_that_have_not_changed(
    small_world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = small_world.fingerprint
    computed = []

    def count(*tables: Any) -> Fingerprint:
        computed.append(1)
        return dataset_fingerprint(*tables)

    monkeypatch.setattr("corarec.data.dataset.dataset_fingerprint", count)
    folder = tmp_path / "world"
    small_world.save(folder)
    for _ in range(2):  # written just now: not trusted
        assert Dataset.load(folder).fingerprint == wanted
    assert len(computed) == 2
    monkeypatch.setattr("corarec.data.storage._CERTAIN_SECONDS", -60.0)
    for _ in range(3):
        assert Dataset.load(folder).fingerprint == wanted
    assert len(computed) == 3
    # The same size and the same time of content: another title, one letter changed.
    items = folder / "items.parquet"
    times = items.stat()
    title = small_world.items["title"]
    other = pl.concat([("#" + title[:1].str.slice(1)), title[1:]])
    small_world.items.with_columns(title=other).write_parquet(items)
    os.utime(items, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert Dataset.load(folder).fingerprint.titles != wanted.titles
    assert len(computed) == 4


@pytest.mark.parametrize(
    ("split", "fraction", "seed"),
    [("valid", float("nan"), 1), ("valid", 1.5, 1), ("valid", 0.5, -1), ("all", 0.5, 1)],
)
def test_a_sample_that_cannot_be_drawn(
    small_world: Dataset, split: Split, fraction: float, seed: int
) -> None:
    with pytest.raises(ConfigError, match=f"A share of {fraction} of the split '{split}' with"):
        small_world.sample(split, fraction=fraction, seed=seed)


def test_pairs_know_what_was_not_liked_before_them_and_nothing_later(small_world: Dataset) -> None:
    table = small_world.interactions
    users, items, labels = (table[n].to_numpy() for n in ("user_id", "item_id", "label"))
    for split in ("train", "valid", "test"):
        pairs = small_world.pairs(split)
        assert pairs.rows is not None
        assert pairs.disliked is not None
        for n, row in enumerate(pairs.rows[::7]):
            earlier = (users == users[row]) & (np.arange(len(users)) < row)
            assert pairs.disliked[7 * n].tolist() == items[earlier & (labels == 0)].tolist()
            assert pairs.histories[7 * n].tolist() == items[earlier & (labels == 1)].tolist()
