"""Events of a service become rows of a new dataset."""

from pathlib import Path

import polars as pl
import pytest

from corarec.data import Dataset, PrepareConfig, prepare
from corarec.errors import ConfigError, DataError

NOW = 2_000_000_000


def told(folder: Path, rows: list[tuple[str, str, str, int]]) -> Path:
    columns = ("user", "item", "kind", "time")
    pl.DataFrame(rows, schema=columns, orient="row").write_parquet(folder / "events.parquet")
    return folder / "events.parquet"


def config(events: Path, output: Path, base: Path | None) -> PrepareConfig:
    options = {} if base is None else {"base": str(base)}
    return PrepareConfig(
        source="events", input=events, output=output, split="temporal", source_options=options
    )


def test_events_follow_the_rows_of_the_dataset(small_world_path: Path, tmp_path: Path) -> None:
    base = Dataset.load(small_world_path)
    row = base.interactions.row(0, named=True)
    user, item = base.users["raw_id"][row["user_id"] - 1], base.items["raw_id"][row["item_id"] - 1]
    other = "dislike" if row["label"] else "like"
    events = told(
        tmp_path,
        [
            (user, item, other, NOW),
            ("zoe", "new", "like", NOW + 1),
            ("zoe", item, "seen", NOW + 2),
        ],
    )
    items = pl.DataFrame({"item": ["new"], "title": ["Rivers of Silver (1999)"]})
    items.write_parquet(tmp_path / "events.items.parquet")
    made = prepare(config(events, tmp_path / "made", small_world_path))
    assert len(made) == len(base) + 1
    assert made.items.filter(pl.col("raw_id") == "new")["title"].to_list() == [
        "Rivers of Silver (1999)"
    ]
    number = made.user_vocabulary.number(user)
    pair = (pl.col("user_id") == number) & (pl.col("item_id") == made.item_vocabulary.number(item))
    (label,) = made.interactions.filter(pair)["label"].to_list()
    assert label == 1 - row["label"]
    assert made.user_vocabulary.number("zoe") > 0


def test_what_is_missing_is_named(small_world_path: Path, tmp_path: Path) -> None:
    events = told(tmp_path, [("zoe", "ghost", "like", NOW)])
    with pytest.raises(ConfigError, match="base=FOLDER"):
        prepare(config(events, tmp_path / "made", None))
    with pytest.raises(DataError, match="no title for item 'ghost'"):
        prepare(config(events, tmp_path / "made", small_world_path))
    assert not (tmp_path / "made").exists()
