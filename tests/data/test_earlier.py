from pathlib import Path

import numpy as np
import polars as pl
import pytest

from corarec.data import Dataset, PrepareConfig, prepare
from corarec.errors import ArtifactError, ConfigError


def prepared(ml1m: Path, output: Path, *, keep: bool) -> Dataset:
    return prepare(
        PrepareConfig(
            source="movielens", input=ml1m, output=output, split="collm-ml1m", keep_earlier=keep
        )
    )


@pytest.fixture
def with_strangers(ml1m: Path) -> Path:
    """Add rows from before train: of a user and an item that have no others, and of known ones."""
    with (ml1m / "ratings.dat").open("a") as file:
        file.write("8::8::3::959000000\n10::8::5::960000000\n10::7::2::958000000\n")
    with (ml1m / "users.dat").open("a") as file:
        file.write("8::F::35::4::77\n")
    return ml1m


def test_earlier_rows_are_kept_with_their_ratings_and_leave_the_protocol_as_it_is(
    with_strangers: Path, tmp_path: Path
) -> None:
    plain = prepared(with_strangers, tmp_path / "plain", keep=False)
    prepared(with_strangers, tmp_path / "kept", keep=True)
    kept = Dataset.load(tmp_path / "kept")
    assert kept.interactions.equals(plain.interactions)
    for name in ("train", "valid", "interactions"):
        assert getattr(kept.fingerprint, name) == getattr(plain.fingerprint, name)
    assert kept.fingerprint.earlier != plain.fingerprint.earlier == ""
    every = np.arange(len(plain))
    assert kept.pairs(every).histories.lengths().tolist() == (
        plain.pairs(every).histories.lengths().tolist()
    )
    assert kept.popularity[:4].tolist() == plain.popularity.tolist()
    # Whoever has earlier rows alone comes after all others.
    assert kept.users["raw_id"].to_list() == [*plain.users["raw_id"].to_list(), "8"]
    assert kept.items["raw_id"].to_list() == [*plain.items["raw_id"].to_list(), "8"]
    assert kept.items["title"][-1] == "Never Seen (1993)"
    stored = pl.read_parquet(tmp_path / "kept" / "interactions.parquet")
    earlier = stored.filter(pl.col("split") == "earlier")
    assert earlier.select("user_id", "item_id", "rating", "label").rows() == [
        (2, kept.item_vocabulary.number("7"), 2.0, 0),
        (2, 4, 5.0, 1),
        (3, kept.item_vocabulary.number("3"), 5.0, 1),
        (4, 4, 3.0, 0),
    ]
    assert kept.card.counts["earlier"].rows == 4
    assert kept.earlier_log is not None
    assert kept.earlier_log.stars.tolist() == [2.0, 5.0, 5.0, 3.0]
    assert plain.earlier_log is None


def test_a_rule_that_drops_nothing_has_nothing_to_keep(tmp_path: Path) -> None:
    config = PrepareConfig(
        source="synthetic", output=tmp_path / "out", split="temporal", keep_earlier=True
    )
    with pytest.raises(ConfigError, match=r"'temporal' drops no row from before train.*Leave"):
        prepare(config)
    assert not (tmp_path / "out").exists()


def test_earlier_rows_among_the_others_are_damage(with_strangers: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    prepared(with_strangers, folder, keep=True)
    file = folder / "interactions.parquet"
    table = pl.read_parquet(file)
    pl.concat([table[-1:], table[:-1]]).write_parquet(file)
    with pytest.raises(ArtifactError, match="not the last 4 are earlier ones"):
        Dataset.load(folder)
