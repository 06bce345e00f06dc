"""Titles are found however they are spelt."""

from pathlib import Path
from typing import Any

import pytest
from rapidfuzz import process

from corarec.errors import DataError
from corarec.runs.live import LiveRun
from corarec.runs.live.search import CHARACTERS, folded, nearest

TITLES = {
    "i1": "Amélie (2001)",
    "i2": "The Quiet Comet (1994)",
    "i3": "The Lost Comet (1990)",
    "i4": "千と千尋の神隠し",
    "i5": "Quiz",
}
TEXTS = {item: folded(title) for item, title in TITLES.items()}


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
def test_items_are_found_however_they_are_spelt(query: str, item: str) -> None:
    assert nearest(query, TEXTS, 3)[0][0] == item


def test_nothing_is_found_where_nothing_is_near() -> None:
    for query in ("", "   ", "()", "zzzzzzzzzzzzz"):
        assert nearest(query, TEXTS, 3) == []
    assert len(nearest("the", TEXTS, 1)) == 1


def test_text_is_folded() -> None:
    assert folded("  É-cole:  STRASSE! ") == "e cole strasse"


def test_a_run_in_use_finds_titles_added_ones_too_and_removed_ones_no_more(
    trained_run: Path,
) -> None:
    live = LiveRun.open(trained_run)
    live.add_item("new", "Zyzzyva Überfahrt (2031)")
    (hit,) = live.search("uberfarht zyzzyva", 1)
    assert (hit.item, hit.title, hit.added) == ("new", "Zyzzyva Überfahrt (2031)", True)
    of_dataset = live.search(live.title(1), 1)[0]
    assert (live.number(of_dataset.item), of_dataset.added, of_dataset.match) == (1, False, 100.0)
    live.remove_item("new")
    assert "new" not in [hit.item for hit in live.search("uberfarht zyzzyva")]
    for query, count in (("a" * 201, 1), (3, 1), ("a", 0), ("a", 1001)):
        with pytest.raises(DataError, match="The query|The count"):
            live.search(query, count)  # type: ignore[arg-type]


def test_titles_of_signs_alone_are_found_by_them() -> None:
    texts = {item: folded(title) for item, title in {"a": "🎬", "b": "...", "c": "What?"}.items()}
    assert nearest("🎬", texts, 5) == [("a", 100.0)]
    assert nearest("..", texts, 5) == [("b", 100.0)]
    assert nearest("what", texts, 1) == [("c", 100.0)]


def test_of_a_long_query_a_line_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    plain = process.extract

    def extract(query: str, *values: Any, **named: Any) -> Any:
        asked.append(query)
        return plain(query, *values, **named)

    monkeypatch.setattr(process, "extract", extract)
    assert nearest("the quiet comet " * 12, TEXTS, 5)[0][0] == "i2"
    assert {len(query) <= CHARACTERS for query in asked} == {True}
