import json
from pathlib import Path
from typing import Any

import pytest

from corarec.data.inputs import InputFiles
from corarec.data.sources.yelp import BUSINESSES, REVIEWS, Yelp
from corarec.errors import DataError

REVIEW = {
    "review_id": "r",
    "user_id": "u",
    "business_id": "b",
    "stars": 3.0,
    "text": "Good soup.",
    "date": "2018-07-07 22:09:11",
}


def write(folder: Path, reviews: list[dict[str, Any]]) -> InputFiles:
    (folder / REVIEWS).write_text("\n".join(map(json.dumps, reviews)))
    business = {
        "business_id": "b",
        "name": "Soup & Co",
        "city": "Bern",
        "categories": "Soup, Bread",
    }
    (folder / BUSINESSES).write_text(json.dumps(business))
    return InputFiles(folder)


def test_reviews_and_businesses(tmp_path: Path) -> None:
    raw = Yelp().read(write(tmp_path, [REVIEW, REVIEW | {"date": "1970-01-02"}]))
    assert raw.collect(raw.interactions).rows() == [
        (1, "u", "b", 3.0, 1_531_001_351, "Good soup."),
        (2, "u", "b", 3.0, 86_400, "Good soup."),
    ]
    assert raw.items.rows() == [("b", "Soup & Co", "Bern", None, "Soup, Bread")]


def test_a_date_that_is_none_names_its_row(tmp_path: Path) -> None:
    raw = Yelp(texts=False).read(write(tmp_path, [REVIEW, REVIEW | {"date": "yesterday"}]))
    with pytest.raises(DataError, match="review.json, row 2: the timestamp is missing"):
        raw.collect(raw.interactions)


def test_a_missing_file(tmp_path: Path) -> None:
    files = write(tmp_path, [REVIEW])
    files.names.remove(BUSINESSES)
    with pytest.raises(DataError, match=f"has no file {BUSINESSES}"):
        Yelp().read(files)


def test_a_missing_field(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="review.json lacks the column stars"):
        Yelp().read(write(tmp_path, [{name: v for name, v in REVIEW.items() if name != "stars"}]))
