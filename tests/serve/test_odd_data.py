"""Runs of odd datasets are served like others: one person, one item, ids of signs."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl
import pytest
from tests.serve.conftest import Serve, Served

from corarec.data import PrepareConfig, prepare
from corarec.recipe import RunConfig
from corarec.runs.live import LiveRun
from corarec.train import train_run

SIGNS = ("a/b", "50 %", "🎬", "?x#y", "/lead", "trail/", "..", "-1", "007", '"><b>', "a&b=c", "+")
Prepared = Callable[[list[str], list[str]], Served]


@pytest.fixture
def served(serve: Serve, recipe: dict[str, Any], tmp_path: Path) -> Prepared:
    """Serve a run of people who had to do with every item; titles are ids."""

    def make(users: list[str], items: list[str]) -> Served:
        source = tmp_path / "source"
        source.mkdir()
        rows = [
            (user, item) for _ in range(-(-24 // len(users))) for user in users for item in items
        ]
        table = pl.DataFrame(rows, schema=["user", "item"], orient="row").with_row_index("number")
        number = pl.col("number")
        table.select(
            "user",
            "item",
            label=(number // 3 % 2).cast(pl.Int64),
            timestamp=number.cast(pl.Int64),
            split=(number % 3).replace_strict({0: "train", 1: "valid", 2: "test"}),
        ).write_parquet(source / "rows.parquet")
        pl.DataFrame({"item": items, "title": items}).write_parquet(source / "items.parquet")
        options = {"interactions": "rows.parquet", "items": "items.parquet"}
        data = tmp_path / "data"
        prepare(
            PrepareConfig(
                source="table",
                input=source,
                output=data,
                split="published",
                source_options=options,
            )
        )
        few = recipe["train"] | {"steps": 1, "validate_every": 1}
        changed = recipe | {"data": str(data), "train": few}
        run = tmp_path / "run"
        train_run(RunConfig.parse(changed, "the test"), run)
        return serve(run=run, load=lambda: LiveRun.open(run))

    return make


def check(client: Served, user: str, item: str) -> None:
    """Ask everything about somebody who has seen all there is, and about a stranger."""
    for who in (user, "a stranger"):
        pairs = [{"user": who, "item": item}, {"user": who, "title": "T"}]
        assert len(client.told("/v1/score", pairs=pairs)["pairs"]) == 2
        client.told("/v1/rank", user=who, items=[item], titles=["T"], explain=True, k=1)
        for more in ({}, {"diversity": 0.5}, {"filter": {"seen": True}}):
            body = {"user": who, "k": 1_000, "candidates": 1_000} | more
            found = client.told("/v1/recommend", **body)["items"]
            assert bool(found) == (who != user or "filter" in more)
        for missing in ({"where": {"genres": "War"}}, {"year_from": 1990}, {"year_to": 1990}):
            answer = client.post("/v1/recommend", json={"user": who, "filter": missing})
            assert answer.status_code == 422
            assert "Items have no" in answer.json()["message"]
        for page in ("/person?user={}", "/person?user={}&beside=text", "/why?user={}&item={}"):
            path = page.format(quote(who, safe=""), quote(item, safe=""))
            assert client.get(path).status_code == 200
    found = client.told("/v1/recommend", liked=[item], k=1_000, candidates=1_000)["items"]
    assert item not in [row["item"] for row in found] or not found
    client.told("/v1/feedback", user=user, item=item, kind="dislike")
    assert client.get(f"/new?liked={quote(item, safe='')}").status_code == 200


@pytest.mark.parametrize(("people", "items"), [(1, 24), (24, 1)])
def test_a_dataset_of_one_person_or_one_item_is_served(
    served: Prepared, people: int, items: int
) -> None:
    client = served([f"u{n}" for n in range(people)], [f"i{n}" for n in range(items)])
    check(client, "u0", "i0")
    assert client.delete("/v1/users/u0").status_code == 200
    assert client.get("/").status_code == 200
    assert client.told("/v1/recommend", user="u0")["known"] is False


def test_ids_of_signs_go_through_every_route(served: Prepared) -> None:
    client = served(list(SIGNS), list(SIGNS))
    check(client, SIGNS[0], SIGNS[1])
    # The test's client resolves a percent sign twice and dots, which a server does not.
    for name in (each for each in SIGNS if "%" not in each and each != ".."):
        place = quote(name, safe="")
        assert client.get(f"/v1/users/{place}").json()["user"] == name
        assert client.get(f"/v1/items/{place}").json()["item"] == name
    for name in SIGNS:
        assert client.get("/v1/recommend", params={"user": name}).json()["user"] == name
        hits = client.get("/v1/items", params={"q": name, "limit": 12}).json()["items"]
        assert name in [hit["item"] for hit in hits]
        assert client.get("/person", params={"user": name, "q": name}).status_code == 200
