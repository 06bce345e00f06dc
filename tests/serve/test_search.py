import numpy as np
import pytest

from corarec.data import Catalogue
from corarec.data.vocabulary import Vocabulary
from corarec.serve.search import ItemIndex, folded
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


@pytest.mark.parametrize(
    ("query", "item"),
    [
        ("amelie", "i1"),
        ("AMELIE 2001", "i1"),
        ("quite comet", "i2"),
        ("comet quiet", "i2"),
        ("the lsot comet", "i3"),
        ("千尋", "i4"),
        ("qui", "i5"),
    ],
)
def test_items_are_found_however_they_are_spelt(index: ItemIndex, query: str, item: str) -> None:
    assert index.search(query, 3)[0].item == item


def test_nothing_is_found_where_nothing_is_near(index: ItemIndex) -> None:
    for query in ("", "   ", "()", "zzzzzzzzzzzzz"):
        assert index.search(query, 3) == []
    assert len(index.search("the", 1)) == 1


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


def test_text_is_folded() -> None:
    assert folded("  É-cole:  STRASSE! ") == "e cole strasse"
