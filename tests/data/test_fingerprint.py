from pathlib import Path

import polars as pl
import pytest

from corarec.data import Dataset
from corarec.types import Fingerprint


def test_it_follows_from_the_values_not_from_the_files(
    small_world: Dataset, small_world_path: Path, tmp_path: Path
) -> None:
    small_world.save(tmp_path / "copy")
    for file in (tmp_path / "copy").glob("*.parquet"):
        before = file.read_bytes()
        pl.read_parquet(file).write_parquet(file, compression="snappy", row_group_size=7)
        assert file.read_bytes() != before
    again = Dataset.load(tmp_path / "copy").fingerprint
    assert again == small_world.fingerprint == Dataset.load(small_world_path).fingerprint


def test_it_is_the_same_in_every_version(small_world: Dataset) -> None:
    """A digest that moves would part every run from its dataset."""
    tiny = Dataset(
        small_world.card.model_copy(update={"item_noun_singular": "x", "item_noun_plural": "xs"}),
        small_world.interactions[:0],
        pl.DataFrame({"item_id": [1, 2], "raw_id": ["a", "ab"], "title": ["Amélie", None]}),
        pl.DataFrame({"user_id": [1], "raw_id": ["u"]}),
    )
    assert {name: value[:8] for name, value in tiny.fingerprint.model_dump().items()} == GOLDEN


GOLDEN = {
    "users": "f75536b0",
    "items": "1efb49b3",
    "titles": "3683fd33",
    "train": "99d66623",
    "valid": "99d66623",
    "interactions": "ee67599e",
    "earlier": "",
}


def changed(frame: pl.DataFrame, row: int, column: str, value: object) -> pl.DataFrame:
    here = pl.int_range(pl.len()) == row
    new = pl.when(here).then(pl.lit(value).cast(frame.schema[column])).otherwise(pl.col(column))
    return frame.with_columns(new.alias(column))


@pytest.mark.parametrize(
    ("table", "column", "value", "differing"),
    [
        ("users", "raw_id", "nobody", ["users"]),
        ("items", "raw_id", "nothing", ["items"]),
        ("items", "title", "Another (1999)", ["titles"]),
        ("interactions", "item_id", 49, ["train", "interactions"]),
        ("interactions", "rating", 2.5, ["interactions"]),
    ],
)
def test_each_change_shows_where_it_is(
    small_world: Dataset, table: str, column: str, value: object, differing: list[str]
) -> None:
    tables = {name: getattr(small_world, name) for name in ("interactions", "items", "users")}
    assert tables["interactions"]["split"][0] == "train"
    tables[table] = changed(tables[table], 0, column, value)
    other = Dataset(small_world.card, **tables)
    assert small_world.fingerprint.differences(other.fingerprint) == differing
    assert small_world.fingerprint.differences(other.fingerprint, ["valid"]) == []


def test_a_border_between_two_texts_is_part_of_them(small_world: Dataset) -> None:
    def with_users(names: list[str]) -> Fingerprint:
        users = pl.DataFrame({"user_id": [1, 2], "raw_id": names})
        return Dataset(
            small_world.card, small_world.interactions, small_world.items, users
        ).fingerprint

    assert with_users(["ab", "c"]) != with_users(["a", "bc"])


def test_its_name_is_one_line(small_world: Dataset) -> None:
    assert len(repr(small_world)) < 120
    assert "60 users, 50 items" in repr(small_world)
