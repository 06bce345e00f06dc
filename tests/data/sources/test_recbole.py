from pathlib import Path
from typing import Any

import pytest

from corarec.data.inputs import InputFiles
from corarec.data.raw import RawData
from corarec.data.sources.recbole import RecBole
from corarec.errors import ConfigError, DataError

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
ITEM = "item_id:token\tmovie_title:token_seq\tclass:token_seq\n1\tA film\tDrama\n2\tB\tWar\n"


def read(folder: Path, **options: Any) -> RawData:
    return RecBole(**options).read(InputFiles(folder))


def test_one_file_of_interactions(tmp_path: Path) -> None:
    (tmp_path / "ml.inter").write_text(INTER + "u\t1\t4.5\t881250949.0\nv\t2\t1\t9\n")
    (tmp_path / "ml.item").write_text(ITEM)
    (tmp_path / "ml.user").write_text("user_id:token\tage:token\nu\t20\n")
    raw = read(tmp_path)
    assert raw.collect(raw.interactions).rows() == [
        (2, "u", "1", 4.5, 881250949),
        (3, "v", "2", 1.0, 9),
    ]
    assert raw.items.rows() == [("1", "A film", "Drama"), ("2", "B", "War")]
    assert raw.users is not None
    assert raw.users.rows() == [("u", "20")]


def test_three_splits(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        (tmp_path / f"ml.{part}.inter").write_text(INTER + f"{part}\t1\t4\t1\n")
    (tmp_path / "ml.item").write_text(ITEM)
    raw = read(tmp_path)
    rows = raw.collect(raw.interactions)
    assert rows["user"].to_list() == rows["split"].to_list() == ["train", "valid", "test"]


def test_labels_without_ratings_and_other_names(tmp_path: Path) -> None:
    header = "u:token\titem_id:token\tlabel:float\ttime:float\n"
    (tmp_path / "x.inter").write_text(header + "a\t1\t1.0\t5\nb\t1\t0.0\t6\n")
    (tmp_path / "x.item").write_text("item_id:token\tsummary:token_seq\n1\tS\n")
    raw = read(tmp_path, user_field="u", time_field="time", title_field="summary")
    rows = raw.collect(raw.interactions)
    assert rows["label"].to_list() == [1, 0]
    assert rows["rating"].null_count() == 2


def test_a_header_without_types(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text("user_id\titem_id:token\ttimestamp:float\na\t1\t1\n")
    (tmp_path / "x.item").write_text(ITEM)
    with pytest.raises(DataError, match=r"x\.inter, row 1: the field 'user_id' has no type"):
        read(tmp_path)


def test_no_times(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text("user_id:token\titem_id:token\na\t1\n")
    (tmp_path / "x.item").write_text(ITEM)
    with pytest.raises(DataError, match=r"x\.inter lacks the column timestamp; .*time_field"):
        raw = read(tmp_path)
        raw.collect(raw.interactions)


def test_no_items(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text(INTER)
    with pytest.raises(DataError, match=r"has 0 files \*\.item; expected one"):
        read(tmp_path)


def test_two_columns_that_get_one_name(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text(INTER + "u\t1\t4\t1\n")
    (tmp_path / "x.item").write_text("item_id:token\titem:token\ttitle:token_seq\n1\t1\tS\n")
    with pytest.raises(DataError, match="has two columns of the same name"):
        RecBole().load(tmp_path)


def test_a_user_with_two_entries(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text(INTER + "u\t1\t4\t1\n")
    (tmp_path / "x.item").write_text(ITEM)
    (tmp_path / "x.user").write_text("user_id:token\tage:token\nu\t20\nu\t21\n")
    with pytest.raises(DataError, match=r"x\.user: user 'u' occurs 2 times"):
        RecBole().load(tmp_path)


def test_one_field_for_two_things(tmp_path: Path) -> None:
    (tmp_path / "x.inter").write_text(INTER + "u\t1\t4\t1\n")
    (tmp_path / "x.item").write_text(ITEM)
    with pytest.raises(ConfigError, match=r"'item_id' .* \(user_field and item_field\)"):
        read(tmp_path, user_field="item_id")
