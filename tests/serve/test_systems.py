"""Every kind of system is served: asked, told, and asked again."""

from pathlib import Path

import pytest
from tests.conftest import TinyRecipe
from tests.serve.conftest import Serve

from corarec.data import Dataset
from corarec.recipe import RunConfig
from corarec.recipe_files import read_recipe
from corarec.runs.live import LiveRun
from corarec.train import train_run

RECIPES = Path(__file__).parents[2] / "recipes" / "ml-1m"
SERVED = (
    "binllm",
    "cllm4rec",
    "collm-lightgcn",
    "collm-sasrec",
    "cora-als",
    "cora-sasrec",
    "cora-statistics",
    "icl-few-shot",
    "personprompt",
    "prompt4nr",
    "tallrec",
    "cora-mf-b activation=title",
    "cora-mf-b activation=title residual=cf",
    "cora-mf-b residual=cf",
)
"""Recipes, some with other values of their systems."""


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVED)
def test_it_is_asked_told_and_asked_again(
    name: str, serve: Serve, tiny_recipe: TinyRecipe, small_world_path: Path, tmp_path: Path
) -> None:
    file, *changes = name.split()
    values = read_recipe(RECIPES / f"{file}.yaml", "recipe").values
    values["system"] |= dict(change.split("=") for change in changes)
    recipe = tiny_recipe(values, small_world_path)
    train_run(RunConfig.parse(recipe, name), tmp_path / "run")
    client = serve(run=tmp_path / "run", load=lambda: LiveRun.open(tmp_path / "run"))
    items = Dataset.load(small_world_path).catalogue.vocabulary.raw_ids
    by_title = name != "cllm4rec"  # its items are tokens
    titles = ["B"] * by_title

    def ask() -> None:
        pairs = [
            {"user": "1", "item": items[2]},
            {"user": "nobody", "item": items[3]},
            {"user": "u", "item": items[4]},
            *([{"user": "u", "title": "A Title (1999)"}] if by_title else []),
        ]
        assert len(client.told("/v1/score", pairs=pairs)["pairs"]) == 3 + by_title
        for person in ({"user": "1"}, {"user": "u"}, {"user": "nobody"}, {"liked": [items[5]]}):
            found = client.told("/v1/recommend", **person, k=12, diversity=0.2)["items"]
            assert len(found) == 12
            assert None not in [row["item"] for row in found]
            ranked = client.told("/v1/rank", **person, items=items[:3], titles=titles)["items"]
            assert len(ranked) == 3 + by_title
        why = client.told("/v1/rank", user="1", items=items[:1], explain=True)["items"][0]
        assert why["explanation"]["effects"] is not None

    ask()
    client.told("/v1/items", item="new", title="The Quiet Comet (2031)")
    for time, item in enumerate([*items[6:10], "new"]):
        for user in ("1", "u"):
            event = {"user": user, "item": item, "kind": "like", "time": 2 * 10**9 + time}
            client.told("/v1/feedback", **event)
    ask()
    pages = [
        "/person?user=u",
        "/person?user=u&beside=text",
        "/person?user=u&q=comet",
        "/new?q=comet",
    ]
    pages += [f"/why?user=u&item={items[0]}", "/new?liked=new"]
    assert [client.get(page).status_code for page in pages] == [200] * len(pages)
    score = client.post("/v1/score", json={"pairs": [{"user": "1", "item": "new"}]})
    assert score.status_code == 200 if by_title else 422, score.text
    assert client.get("/v1/users/u").json()["events"][0]["item"] == "new"
    assert client.delete("/v1/items/new").status_code == 200
    assert client.delete("/v1/users/1").status_code == 200
    ask()
