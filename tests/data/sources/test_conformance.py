"""The contract of the data sources that ship."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from corarec.data import DATA_SOURCES
from corarec.data.sources.yelp import BUSINESSES, REVIEWS
from corarec.testing import SourceConformance

ROWS = [(n % 6, n % 7, 1 + 4 * (n // 2 % 2), 1_000_000 + n) for n in range(90)]
"""User, item, rating and time."""


class TestSynthetic(SourceConformance):
    source, split = "synthetic", "published"
    options: ClassVar[dict[str, Any]] = {
        "num_users": 20,
        "num_items": 20,
        "interactions_per_user": 10,
    }


class TestTable(SourceConformance):
    source = "table"

    @staticmethod
    def make_input(folder: Path) -> Path:
        columns = ["user", "item", "rating", "timestamp"]
        table = pl.DataFrame(ROWS, schema=columns, orient="row")
        table = table.with_columns(title=pl.format("Film {}", "item"))
        table.write_parquet(folder / "films.parquet")
        return folder / "films.parquet"


class TestMovieLens(SourceConformance):
    source = "movielens"

    @staticmethod
    def make_input(folder: Path) -> Path:
        ratings = "".join("::".join(map(str, row)) + "\n" for row in ROWS)
        (folder / "ratings.dat").write_text(ratings, "latin-1")
        films = "".join(f"{n}::Film {n} (1999)::Drama\n" for n in range(7))
        (folder / "movies.dat").write_text(films, "latin-1")
        users = "".join(f"{n}::F::25::1::12345\n" for n in range(6))
        (folder / "users.dat").write_text(users, "latin-1")
        return folder


class TestRecBole(SourceConformance):
    source = "recbole"

    @staticmethod
    def make_input(folder: Path) -> Path:
        header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        rows = "".join("\t".join(map(str, row)) + "\n" for row in ROWS)
        (folder / "films.inter").write_text(header + rows)
        titles = "".join(f"{n}\tFilm {n}\n" for n in range(7))
        (folder / "films.item").write_text("item_id:token\ttitle:token_seq\n" + titles)
        return folder


class TestAmazon(SourceConformance):
    source = "amazon"

    @staticmethod
    def make_input(folder: Path) -> Path:
        names = "reviewerID", "asin", "overall", "unixReviewTime"
        reviews = [
            dict(zip(names, (f"U{user}", f"B{item}", rating, time), strict=True))
            for user, item, rating, time in ROWS
        ]
        (folder / "Books_5.json").write_text("\n".join(map(json.dumps, reviews)))
        books = [{"asin": f"B{n}", "title": f"Book {n}"} for n in range(7)]
        (folder / "meta_Books.json").write_text("\n".join(map(json.dumps, books)))
        return folder


class TestYelp(SourceConformance):
    source = "yelp"

    @staticmethod
    def make_input(folder: Path) -> Path:
        names = "user_id", "business_id", "stars", "date"
        reviews = [
            dict(zip(names, (f"U{user}", f"B{item}", rating, when), strict=True))
            for user, item, rating, time in ROWS
            for when in [datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S")]
        ]
        (folder / REVIEWS).write_text("\n".join(map(json.dumps, reviews)))
        about = {"city": "Bern", "categories": "Soup, Bread"}
        places = [about | {"business_id": f"B{n}", "name": f"Soup {n}"} for n in range(7)]
        (folder / BUSINESSES).write_text("\n".join(map(json.dumps, places)))
        return folder


def test_every_source_is_tested() -> None:
    mine = [each for each in SourceConformance.__subclasses__() if each.__module__ == __name__]
    # The pickles of CoLLM bring their own parts, events of a service join a dataset:
    # test_collm.py and test_service.py write and read them.
    assert {each.source for each in mine} | {"collm", "events"} == set(DATA_SOURCES.built_in)
