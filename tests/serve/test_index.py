import numpy as np
import pytest

from corarec.data import Catalogue
from corarec.data.vocabulary import Vocabulary
from corarec.serve.index import ItemIndex
from corarec.serve.store import ItemState

TITLES = [
    "Amélie (2001)",
    "The Quiet Comet (1994)",
    "The Lost Comet (1990)",
    "千と千尋の神隠し",
    "Quiz",
]


@pytest.fixture
def index() -> ItemIndex:
    ids = [f"i{n}" for n in range(1, len(TITLES) + 1)]
    liked = np.zeros(len(TITLES) + 1, np.int64)
    return ItemIndex(Catalogue(["", *TITLES], "movie", "movies", Vocabulary(ids), liked, liked))


def test_added_items_come_and_go_and_those_of_the_dataset_stay(index: ItemIndex) -> None:
    new = ItemState("A New One", {}, 5, removed=False)
    index.change({"new": new, "i1": ItemState("Mine", {}, 5, removed=True)})
    assert index.get("new") == ("A New One", True)
    assert index.get("i1") == ("Amélie (2001)", False)
    assert index.search("new one", 1)[0].item == "new"
    assert index.unknown(["i1", "new", "x"]) == ["x"]
    index.change({"new": ItemState("A New One", {}, 5, removed=True)})
    assert index.get("new") is None
    index.change({"new": new})
    index.change({}, reset=True)
    assert index.get("new") is None
    assert not [hit for hit in index.search("new one", 5) if hit.item == "new"]
