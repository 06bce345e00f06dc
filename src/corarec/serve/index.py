"""The items that requests name and search, for any thread."""

import threading
from collections.abc import Iterable, Mapping

from corarec.data import Catalogue
from corarec.runs.live import Hit
from corarec.runs.live.search import folded, nearest
from corarec.serve.store import ItemState


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
        found = [(item, match, self.get(item)) for item, match in nearest(query, texts, count)]
        # Another thread may have removed one since.
        return [Hit(item, known[0], match, known[1]) for item, match, known in found if known]
