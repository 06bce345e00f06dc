"""Items by title as people type it."""

import threading
import unicodedata
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from corarec.data import Catalogue
from corarec.extras import needs
from corarec.serve.store import ItemState

with needs("serve"):
    from rapidfuzz import fuzz, process

LEAST = 60.0
"""Of 100: what matches less is not told."""
NEAR = 10
"""Titles that are looked at closely, for each that is wanted."""
WORDS = 12
"""Words of a query that count."""


class Hit(NamedTuple):
    """An item that was found."""

    item: str
    title: str
    added: bool
    match: float
    """0 to 100"""


class ItemIndex:
    """Items by raw id and by title, those that were added among them; any thread may ask."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._lock = threading.Lock()
        self._added: dict[str, ItemState] = {}
        raw_ids = catalogue.vocabulary.raw_ids
        self._texts = {
            item: folded(title) for item, title in zip(raw_ids, catalogue.titles[1:], strict=True)
        }

    def change(self, items: Mapping[str, ItemState], *, reset: bool = False) -> None:
        """Take in items that were added, retitled or removed; with `reset` no others remain."""
        with self._lock:
            if reset:
                for item in self._added:
                    self._texts.pop(item, None)
                self._added = {}
            for item, state in items.items():
                if self._of_dataset(item):
                    continue
                if state.removed:
                    self._added.pop(item, None)
                    self._texts.pop(item, None)
                else:
                    self._added[item] = state
                    self._texts[item] = folded(state.title)

    def _of_dataset(self, item: str) -> bool:
        return self._catalogue.vocabulary.number(item) > 0

    def get(self, item: str) -> tuple[str, bool] | None:
        """Return an item's title and whether it was added; None where nobody knows it."""
        if number := self._catalogue.vocabulary.number(item):
            return self._catalogue.titles[number], False
        added = self._added.get(item)
        return None if added is None else (added.title, True)

    def added(self) -> dict[str, ItemState]:
        """Return the items that were added, the newest last."""
        with self._lock:
            return dict(self._added)

    def unknown(self, items: Iterable[str]) -> list[str]:
        """Return those that nobody knows."""
        return [item for item in items if self.get(item) is None]

    def search(self, query: str, count: int) -> list[Hit]:
        """Return the items whose titles are nearest to `query`, the best first."""
        with self._lock:
            texts = dict(self._texts)
        text = folded(query)
        if not text:
            return []
        holding = sorted(
            (item for item, title in texts.items() if text in title),
            key=lambda item: (not texts[item].startswith(text), len(texts[item])),
        )
        matches = dict.fromkeys(holding[:count], 100.0)
        if len(matches) < count:
            near: set[str] = set()
            for scorer in (fuzz.partial_ratio, fuzz.token_set_ratio):
                found = process.extract(
                    text, texts, scorer=scorer, limit=NEAR * count, processor=None
                )
                near |= {item for _, _, item in found}
            words = text.split()[:WORDS]
            scored = {item: _match(words, texts[item]) for item in sorted(near - matches.keys())}
            best = sorted(scored.items(), key=lambda each: -each[1])
            matches |= {item: match for item, match in best if match >= LEAST}
        known = [(item, match, self.get(item)) for item, match in matches.items()]
        hits = [Hit(item, *found, match) for item, match, found in known if found is not None]
        return hits[:count]


def _match(words: list[str], title: str) -> float:
    """Return how well words are found in a title, in whatever order: 0 to 99."""
    there = title.split() or [""]
    each = [max(fuzz.ratio(word, other) for other in there) for word in words]
    return min(99.0, round(sum(each) / len(each), 1))


def folded(text: str) -> str:
    """Return text without case, accents and punctuation."""
    plain = unicodedata.normalize("NFKD", text)
    kept = "".join(
        character if character.isalnum() else " "
        for character in plain
        if not unicodedata.combining(character)
    )
    return " ".join(kept.casefold().split())
