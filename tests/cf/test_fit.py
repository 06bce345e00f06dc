from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError
from rich.console import Console

from corarec.cf import (
    CF_MODELS,
    FitConfig,
    FitData,
    FitReport,
    VectorSource,
    fit_cf,
    load_cf,
    seen_rows,
)
from corarec.cf.counting.rates import Rates
from corarec.cf.factors import mf
from corarec.data import Dataset, DatasetCard
from corarec.errors import ArtifactError, ConfigError, DataError, InUseError
from corarec.locks import lock_beside, locked
from corarec.progress import watch_fits
from corarec.types import IntArray

MF = {"embedding_size": 4, "max_epochs": 2}


@pytest.fixture
def dataset(world_rows: dict[str, IntArray]) -> Dataset:
    """The toy world as a dataset; time runs over all users at once, one day a row."""
    size = len(world_rows["user"])
    names = np.array(["train", "valid", "test"])[world_rows["part"]]
    interactions = pl.DataFrame(
        {
            "user_id": world_rows["user"],
            "item_id": world_rows["item"],
            "rating": np.ones(size, dtype=np.float32),
            "timestamp": np.arange(size) % 18 * 86_400,
            "label": world_rows["label"].astype(np.int8),
            "split": pl.Series(names).cast(pl.Enum(["train", "valid", "test"])),
            "warm": np.ones(size, dtype=np.bool_),
        }
    )
    halves = {
        half: pl.DataFrame(
            {
                f"{half}_id": range(1, largest + 1),
                "raw_id": [f"{half[0]}{number}" for number in range(1, largest + 1)],
                "title": ["x"] * largest,
            }
        )
        for half, largest in (("user", 30), ("item", 24))
    }
    card = DatasetCard(
        name="toy",
        source="table",
        split="temporal",
        labels="same group",
        num_users=30,
        num_items=24,
        counts={},
        licence="none",
    )
    return Dataset(card, interactions, halves["item"], halves["user"])


def test_a_fit_is_saved_and_loaded(dataset: Dataset, tmp_path: Path) -> None:
    model, report = fit_cf(
        dataset, FitConfig(model="mf", options=MF), seed=4, output=tmp_path / "mf"
    )
    loaded = load_cf(tmp_path / "mf")
    assert loaded.report == report == model.report
    assert (report.seed, report.train_rows, report.trained_until) == (4, 348, None)
    pairs = dataset.pairs("test")
    assert np.array_equal(loaded.score(pairs), model.score(pairs))
    assert {path.name for path in tmp_path.iterdir()} == {"mf"}


def test_the_earliest_share_of_train_is_fitted(dataset: Dataset) -> None:
    config = FitConfig(model="mf", options=MF, train_until=0.5)
    _, report = fit_cf(dataset, config)
    # Train rows are the days 0..11 of 29 users: half of them end with day 5.
    assert report.trained_until == 5 * 86_400
    assert report.train_rows == 29 * 6
    seen = np.flatnonzero(seen_rows(dataset, report))
    assert seen.tolist() == [row for row in range(len(dataset)) if row % 18 < 6]


def test_days_are_not_torn(dataset: Dataset) -> None:
    _, report = fit_cf(dataset, FitConfig(model="mf", options=MF, train_until=0.45))
    assert report.train_rows == 29 * 6


def test_later_train_rows_count_as_unseen(dataset: Dataset) -> None:
    """The rates of a later train row must not have a label taken out that was never in."""
    model, report = fit_cf(dataset, FitConfig(model="rates", train_until=0.5))
    rows = dataset.rows("train")
    seen = seen_rows(dataset, report)[rows]
    assert seen.tolist() == [row % 18 < 6 for row in rows]
    pairs = dataset.pairs("train")
    alone = model.score(pairs)
    bound = VectorSource(model, dataset).score(pairs)
    assert np.array_equal(bound[~seen], alone[~seen])
    assert (bound[seen] != alone[seen]).all()


def test_all_train_rows_are_seen_by_a_full_fit(dataset: Dataset) -> None:
    _, report = fit_cf(dataset, FitConfig(model="rates"))
    assert seen_rows(dataset, report).sum() == len(dataset.rows("train"))


def test_raw_ids_reach_imported_vectors(dataset: Dataset, tmp_path: Path) -> None:
    for half in ("user", "item"):
        frame = pl.DataFrame({"raw_id": [f"{half[0]}2"], "vector": [[2.0, 1.0]]})
        frame.write_parquet(tmp_path / f"{half}.parquet")
    options = {"users": tmp_path / "user.parquet", "items": tmp_path / "item.parquet"}
    model, _ = fit_cf(dataset, FitConfig(model="imported", options=options))
    pairs = dataset.pairs("train")
    both_known = (pairs.user_ids == 2) & (pairs.item_ids == 2)
    assert both_known.any()
    assert np.array_equal(model.score(pairs), np.where(both_known, 5.0, 0.0))


def renamed(dataset: Dataset) -> Dataset:
    """The same rows, of other people."""
    users = dataset.users.with_columns(raw_id=pl.col("raw_id").reverse())
    return Dataset(dataset.card, dataset.interactions, dataset.items, users)


def test_a_model_of_another_dataset_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    fit_cf(dataset, FitConfig(model="mf", options=MF), output=tmp_path / "mf")
    assert load_cf(tmp_path / "mf", dataset.fingerprint).dataset == dataset.fingerprint
    with pytest.raises(ArtifactError, match="another dataset: its users are not those of this"):
        load_cf(tmp_path / "mf", renamed(dataset).fingerprint)
    other_labels = dataset.interactions.with_columns(label=1 - pl.col("label"))
    relabelled = Dataset(dataset.card, other_labels, dataset.items, dataset.users)
    with pytest.raises(ArtifactError, match="its training rows and validation rows are not"):
        load_cf(tmp_path / "mf", relabelled.fingerprint)


def test_titles_do_not_bind_a_model_that_never_reads_them(dataset: Dataset, tmp_path: Path) -> None:
    fit_cf(dataset, FitConfig(model="mf", options=MF), output=tmp_path / "mf")
    items = dataset.items.with_columns(title=pl.lit("mended"))
    mended = Dataset(dataset.card, dataset.interactions, items, dataset.users)
    assert mended.fingerprint != dataset.fingerprint
    load_cf(tmp_path / "mf", mended.fingerprint)


def test_a_model_that_names_no_dataset_is_refused_for_one(dataset: Dataset, tmp_path: Path) -> None:
    model, _ = fit_cf(dataset, FitConfig(model="mf", options=MF))
    model.dataset = None
    model.save(tmp_path / "mf")
    load_cf(tmp_path / "mf")
    with pytest.raises(ArtifactError, match="does not say which dataset it was fitted on"):
        load_cf(tmp_path / "mf", dataset.fingerprint)


def test_a_component_of_another_dataset_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    for name, data in (("mine", dataset), ("foreign", renamed(dataset))):
        fit_cf(data, FitConfig(model="mf", options=MF), output=tmp_path / name)
    options = {"components": [str(tmp_path / "mine"), str(tmp_path / "foreign")]}
    with pytest.raises(ArtifactError, match=r"foreign was fitted on another dataset"):
        fit_cf(dataset, FitConfig(model="fused", options=options))
    mixed = {"components": [str(tmp_path / "mine"), {"model": "rates"}]}
    fit_cf(dataset, FitConfig(model="fused", options=mixed), output=tmp_path / "fused")
    assert load_cf(tmp_path / "fused" / "component-1").dataset == dataset.fingerprint


def test_progress_is_printed(dataset: Dataset) -> None:
    text = StringIO()
    fit_cf(
        dataset, FitConfig(model="mf", options=MF), watch=watch_fits(Console(file=text, width=120))
    )
    assert "mf: AUC train" in text.getvalue()
    assert "of 2," in text.getvalue()


def test_a_part_of_one_class_is_an_error(dataset: Dataset) -> None:
    ones = dataset.interactions.with_columns(label=pl.lit(1, pl.Int8))
    dataset = Dataset(dataset.card, ones, dataset.items, dataset.users)
    with pytest.raises(DataError, match="All 348 training labels are 1"):
        fit_cf(dataset, FitConfig(model="mf", options=MF))


def test_more_than_all_rows_is_an_error() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        FitConfig(model="mf", train_until=1.5)


def test_a_dataset_is_not_replaced_by_a_model(small_world_path: Path) -> None:
    before = sorted(file.name for file in small_world_path.iterdir())
    data = Dataset.load(small_world_path)
    for output, message in (
        (small_world_path, r"dataset, not CF model"),
        (small_world_path.parent, "corarec did not write"),
        (small_world_path / "card.json", "is a file"),
    ):
        with pytest.raises(ConfigError, match=message):
            fit_cf(data, FitConfig(model="rates"), output=output)
    assert sorted(file.name for file in small_world_path.iterdir()) == before
    assert len(Dataset.load(small_world_path)) == len(data)


def test_a_model_is_not_replaced_by_one_that_is_made_of_it(
    small_world: Dataset, tmp_path: Path
) -> None:
    for name in "ab":
        fit_cf(small_world, FitConfig(model="rates"), output=tmp_path / name)
    options = {"components": [str(tmp_path / "a"), str(tmp_path / "b")]}
    joined = FitConfig(model="fused", options=options)
    for output in (tmp_path / "b", tmp_path):
        with pytest.raises(ConfigError, match="would overwrite the input"):
            fit_cf(small_world, joined, output=output)
    assert load_cf(tmp_path / "b").name == "rates"
    fit_cf(small_world, joined, output=tmp_path / "joined")
    fit_cf(small_world, joined, output=tmp_path / "joined")


def test_a_refused_output_costs_no_fit(
    small_world: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    monkeypatch.setattr(Rates, "fit", lambda *_: pytest.fail("the model was fitted"))
    with pytest.raises(ConfigError, match="corarec did not write"):
        fit_cf(small_world, FitConfig(model="rates"), output=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_cannot_fit_into_one_folder(dataset: Dataset, tmp_path: Path) -> None:
    config = FitConfig(model="mf", options=MF)
    with (
        locked(lock_beside(tmp_path / "mf"), "it"),
        pytest.raises(InUseError, match="mf is in use"),
    ):
        fit_cf(dataset, config, output=tmp_path / "mf")
    fit_cf(dataset, config, output=tmp_path / "mf")
    assert [path.name for path in tmp_path.iterdir()] == ["mf"]


def test_fit_data_is_named_in_a_line(dataset: Dataset) -> None:
    seen: list[FitData] = []

    class Spy(mf.MF):
        def fit(self, data: FitData, *args: Any, **kwargs: Any) -> FitReport:
            seen.append(data)
            return super().fit(data, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CF_MODELS.built_in, "mf", Spy)
        model, _ = fit_cf(dataset, FitConfig(model="mf", options=MF))
    table = model.vector_table(seen[0].train)
    for thing in (seen[0], seen[0].train, table):
        assert len(repr(thing)) < 120
    assert repr(seen[0]).startswith("FitData(348 training and 87 validation rows, 30 users")
