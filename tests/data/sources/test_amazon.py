import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from corarec.data.inputs import InputFiles
from corarec.data.raw import RawData
from corarec.data.sources.amazon import Amazon
from corarec.errors import DataError

Write = Callable[[str, list[dict[str, Any]]], None]

OLD_REVIEW = {
    "reviewerID": "U1",
    "asin": "B1",
    "overall": 5.0,
    "unixReviewTime": 1_500_000_000,
    "reviewText": "Fine.",
}
NEW_REVIEW = {
    "rating": 4.0,
    "title": "headline",
    "text": "Fine.",
    "asin": "variant",
    "parent_asin": "B1",
    "user_id": "U1",
    "timestamp": 1_500_000_000_123,
}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def to_file(name: str, entries: list[dict[str, Any]]) -> None:
        form = repr if "literal" in name else json.dumps
        content = "".join(form(entry) + "\n" for entry in entries).encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    return to_file


def read(folder: Path, **options: Any) -> tuple[RawData, pl.DataFrame]:
    raw = Amazon(**options).read(InputFiles(folder))
    return raw, raw.collect(raw.interactions)


@pytest.mark.parametrize("meta", ["meta_Books.json.gz", "meta_literal.json"])
def test_2014_and_2018(write: Write, tmp_path: Path, meta: str) -> None:
    write("Books_5.json.gz", [OLD_REVIEW, OLD_REVIEW | {"reviewerID": "U2", "overall": 1}])
    write(meta, [{"asin": "B1", "title": "It's a book", "brand": "W", "also_buy": ["B2"]}])
    raw, rows = read(tmp_path, item_noun_singular="book", item_noun_plural="books")
    assert rows.drop("row").rows() == [
        ("U1", "B1", 5.0, 1_500_000_000, "Fine."),
        ("U2", "B1", 1.0, 1_500_000_000, "Fine."),
    ]
    assert raw.items.rows() == [("B1", "It's a book", "W", "")]
    assert raw.facts.item_noun_plural == "books"


def test_2023(write: Write, tmp_path: Path) -> None:
    write("Books.jsonl", [NEW_REVIEW])
    write("meta_Books.jsonl", [{"parent_asin": "B1", "title": "T", "store": None, "images": []}])
    raw, rows = read(tmp_path, texts=False)
    assert rows.drop("row").rows() == [("U1", "B1", 4.0, 1_500_000_000)]
    assert raw.items.rows() == [("B1", "T", "", "")]


def test_the_last_metadata_entry_holds_in_its_place(write: Write, tmp_path: Path) -> None:
    write("r.json", [OLD_REVIEW])
    write(
        "meta_r.json",
        [
            {"asin": "B1", "title": "old"},
            {"asin": "B2"},
            {"asin": "B1", "title": "new"},
            {"asin": "B1", "title": "var x = new Date().getTime();"},
        ],
    )
    raw, _ = read(tmp_path)
    assert raw.items.select("item", "title").rows() == [("B2", ""), ("B1", "new")]
    assert [note.split()[0] for note in raw.facts.notes] == ["1", "1"]


def test_only_selected_reviews_are_kept(write: Write, tmp_path: Path) -> None:
    write("r.json", [OLD_REVIEW | {"unixReviewTime": n} for n in range(100)])
    write("meta_r.json", [{"asin": "B1", "title": "T"}])
    raw, _ = read(tmp_path)
    kept = raw.collect(raw.interactions.filter(pl.col("timestamp") >= 97))
    assert kept["row"].to_list() == [98, 99, 100]


def test_which_file_is_which_must_be_clear(write: Write, tmp_path: Path) -> None:
    write("a.json", [OLD_REVIEW])
    write("b.json", [OLD_REVIEW])
    with pytest.raises(DataError, match=r"2 files that can be the reviews: a\.json, b\.json"):
        read(tmp_path)
    with pytest.raises(DataError, match="0 files that can be the metadata; expected one"):
        read(tmp_path, reviews="a.json")
    write("items.json", [{"asin": "B1", "title": "T"}])
    _, rows = read(tmp_path, reviews="b.json", metadata="items.json")
    assert len(rows) == 1


def test_reviews_without_a_rating_field(write: Write, tmp_path: Path) -> None:
    write("r.json", [{"reviewerID": "U1", "asin": "B1", "unixReviewTime": 1}])
    write("meta_r.json", [{"asin": "B1", "title": "T"}])
    with pytest.raises(DataError, match=r"r\.json lacks the column overall"):
        read(tmp_path)


def test_a_rating_that_is_no_number(write: Write, tmp_path: Path) -> None:
    write("r.json.gz", [OLD_REVIEW, OLD_REVIEW | {"overall": "five"}])
    write("meta_r.json", [{"asin": "B1", "title": "T"}])
    with pytest.raises(DataError, match=r"r\.json\.gz, row 2: overall is 'five'"):
        read(tmp_path)


def test_a_gzip_cut_off(write: Write, tmp_path: Path) -> None:
    write("r.json.gz", [OLD_REVIEW | {"reviewerID": str(n * 7919)} for n in range(3000)])
    file = tmp_path / "r.json.gz"
    file.write_bytes(file.read_bytes()[:-200])
    write("meta_r.json", [{"asin": "B1", "title": "T"}])
    with pytest.raises(DataError, match=r"r\.json\.gz is cut off or damaged"):
        read(tmp_path)
