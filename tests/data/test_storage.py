import json
from pathlib import Path

import polars as pl
import pytest

from corarec.data import Dataset, PrepareConfig, prepare
from corarec.errors import ArtifactError


@pytest.fixture
def folder(ml1m: Path, tmp_path: Path) -> Path:
    output = tmp_path / "prepared"
    prepare(PrepareConfig(source="movielens", input=ml1m, output=output, split="collm-ml1m"))
    return output


def rewrite(file: Path, **columns: pl.Expr) -> None:
    pl.read_parquet(file).with_columns(**columns).write_parquet(file)


def test_files_of_the_folder(folder: Path) -> None:
    names = sorted(file.name for file in folder.iterdir())
    assert names == [
        ".corarec.json",
        "card.json",
        "interactions.parquet",
        "items.parquet",
        "users.parquet",
    ]


@pytest.mark.parametrize("name", ["interactions", "items", "users"])
def test_a_missing_table(folder: Path, name: str) -> None:
    (folder / f"{name}.parquet").unlink()
    with pytest.raises(ArtifactError, match=rf"{name}\.parquet: the file is missing.*prepare"):
        Dataset.load(folder)


def test_a_table_cut_off(folder: Path) -> None:
    file = folder / "interactions.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(ArtifactError, match=r"interactions\.parquet: it is not a whole Parquet"):
        Dataset.load(folder)


def test_a_card_cut_off(folder: Path) -> None:
    card = folder / "card.json"
    card.write_text(card.read_text("utf-8")[:50], "utf-8")
    with pytest.raises(ArtifactError, match=r"card\.json is not whole JSON"):
        Dataset.load(folder)


def test_a_card_of_another_version(folder: Path) -> None:
    (folder / "card.json").write_text(json.dumps({"format_version": 99}))
    with pytest.raises(ArtifactError, match="its format_version is 99, this program reads 1"):
        Dataset.load(folder)


def test_a_card_without_its_fields(folder: Path) -> None:
    (folder / "card.json").write_text(json.dumps({"format_version": 1}))
    with pytest.raises(ArtifactError, match="it is not the card of a dataset"):
        Dataset.load(folder)


def test_a_missing_column(folder: Path) -> None:
    file = folder / "items.parquet"
    pl.read_parquet(file).drop("title").write_parquet(file)
    with pytest.raises(ArtifactError, match=r"items\.parquet: the columns title are missing"):
        Dataset.load(folder)


def test_rows_in_another_order(folder: Path) -> None:
    file = folder / "interactions.parquet"
    pl.read_parquet(file).reverse().write_parquet(file)
    with pytest.raises(ArtifactError, match="not in the order of user_id, then timestamp"):
        Dataset.load(folder)


def test_rows_lost(folder: Path) -> None:
    file = folder / "interactions.parquet"
    pl.read_parquet(file).head(4).write_parquet(file)
    with pytest.raises(ArtifactError, match=r"it has 4 rows, card\.json says 6"):
        Dataset.load(folder)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("item_id", 4, "item_id has values outside 1 to 3"),
        ("label", 2, "label has values outside 0 to 1"),
        ("warm", None, "timestamp, split or warm has missing values"),
        ("split", "trial", "a column does not have the type it must have"),
    ],
)
def test_values_that_do_not_fit(folder: Path, column: str, value: object, message: str) -> None:
    rewrite(folder / "interactions.parquet", **{column: pl.lit(value)})
    with pytest.raises(ArtifactError, match=message):
        Dataset.load(folder)


def test_ids_with_a_gap(folder: Path) -> None:
    rewrite(folder / "users.parquet", user_id=pl.col("user_id") + 1)
    with pytest.raises(ArtifactError, match="user_id must run from 1 to 3"):
        Dataset.load(folder)
