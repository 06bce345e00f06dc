# ruff: noqa: D101, D102
"""A run with what came since it was trained, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from corarec.errors import DataError
from corarec.runs import Run
from corarec.score.context import Context
from corarec.score.recommend import candidate_order
from corarec.score.scorer import Scorer
from corarec.types import Histories, IntArray, Pairs


@dataclass(frozen=True)
class Filters:
    where: dict[str, Any] | None = None
    year_from: int | None = None
    year_to: int | None = None
    unseen: bool = True
    added_only: bool = False


class LiveRun:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.new_titles: list[str] = []
        self._added: dict[str, int] = {}
        self._removed: set[str] = set()
        self._events: dict[str, dict[tuple[str, str, int], None]] = {}
        self._forgotten: set[str] = set()

    @property
    def scorer(self) -> Scorer:
        return self.run.scorer

    @property
    def num_items(self) -> int:
        return self.run.knowledge.catalogue.num_items

    def info(self) -> dict[str, Any]:
        return {"system": self.run.config.system.name, "weights": self.run.identity}

    def add_item(self, item: str, title: str, *, time: int | None = None, **metadata: Any) -> bool:
        if self.run.knowledge.catalogue.vocabulary.number(item):
            raise DataError(f"The item {item!r} is one of the dataset.")
        self._removed.discard(item)
        if item in self._added:
            self.new_titles[self._added[item] - self.num_items - 1] = title
            return False
        self.new_titles.append(title)
        self._added[item] = self.num_items + len(self.new_titles)
        return True

    def remove_item(self, item: str) -> bool:
        self._removed.add(item)
        return True

    def number(self, item: str) -> int:
        found = self.run.knowledge.catalogue.vocabulary.number(item) or self._added.get(item, 0)
        if not found or item in self._removed:
            raise DataError(f"There is no item {item!r}.")
        return found

    def raw(self, number: int) -> str:
        if number <= self.num_items:
            return self.run.knowledge.catalogue.vocabulary.raw(np.array([number]))[0]
        return next(item for item, n in self._added.items() if n == number)

    def title(self, number: int) -> str:
        if number <= self.num_items:
            return self.run.knowledge.catalogue.titles[number]
        return self.new_titles[number - self.num_items - 1]

    def record(
        self, user: str, item: str, kind: str, time: int, stars: Any = None, *, overwrite: Any = 0
    ) -> bool:
        self.number(item)
        self._events.setdefault(user, {})[item, kind, time] = None
        return True

    def retract(self, user: str, item: str, kind: str, time: int) -> bool:
        self._events[user].pop((item, kind, time))
        return True

    def forget(self, user: str) -> int:
        self._forgotten.add(user)
        return len(self._events.pop(user, {}))

    def known(self, user: str) -> Any:
        number = self.run.knowledge.users.number(user)
        if not number and user not in self._events:
            raise DataError(f"There is no user {user!r}.")
        events = [
            SimpleNamespace(item=i, title=self.title(self.number(i)), kind=k, time=t, live=True)
            for i, k, t in self._events.get(user, {})
        ]
        return SimpleNamespace(user=user, in_dataset=number > 0, cold=False, events=events)

    def example_users(self, count: int) -> list[str]:
        return self.run.directory.most_active(count)

    def search_users(self, query: str, count: int = 10) -> list[str]:
        return [user for user in self.run.knowledge.users.raw_ids if query in user][:count]

    def context(
        self, user: str | None = None, *, liked: Sequence[str] = (), disliked: Sequence[str] = ()
    ) -> Context:
        if user is None:
            return Context(0, np.array([self.item_of(each) for each in liked], dtype=np.int64))
        number = self.run.knowledge.users.number(user) if user not in self._forgotten else 0
        base = self.run.directory.known(number)
        own = [
            (self.number(i), k)
            for i, k, _ in sorted(self._events.get(user, {}), key=lambda e: e[2])
        ]
        liked_ids = [i for i, k in own if k == "like" and i <= self.num_items]
        disliked_ids = [i for i, k in own if k == "dislike" and i <= self.num_items]
        return Context(
            number,
            np.append(base.liked, np.array(liked_ids, np.int64)),
            np.append(base.disliked, np.array(disliked_ids, np.int64)),
        )

    def item_of(self, text: str) -> int:
        try:
            return self.number(text)
        except DataError:
            return self.run.directory.item(text)

    def join(self, parts: Sequence[tuple[Context, IntArray]]) -> Pairs:
        lists = [c.liked.tolist() for c, items in parts for _ in items]
        disliked = [c.disliked.tolist() for c, items in parts for _ in items]
        return Pairs(
            np.concatenate([np.full(len(items), c.user_id) for c, items in parts]),
            np.concatenate([items for _, items in parts]),
            Histories.from_lists(lists),
            disliked=Histories.from_lists(disliked),
        )

    def candidates(
        self, context: Context, *, count: int, exclude: Sequence[str] = (), filters: Any = None
    ) -> tuple[IntArray, IntArray]:
        out = np.array([self.number(item) for item in exclude], dtype=np.int64)
        catalogue = self.run.knowledge.catalogue
        seen = np.concatenate([context.liked, context.disliked, out])
        items = np.setdiff1d(np.arange(1, self.num_items + 1), seen)
        chosen = items[candidate_order(self.run.cf, catalogue, context.pairs(items))][:count]
        return chosen, np.arange(1, len(chosen) + 1)

    def arranged(self, item_ids: IntArray, scores: Any, *, k: int, diversity: float = 0) -> Any:
        return np.argsort(-scores, kind="stable")[:k]

    def explain(self, user: str | None = None, item: str | None = None, **more: Any) -> Any:
        liked = more.get("liked", ())
        return self.run.explain(user, item, liked=liked)

    def newest_refresh(self) -> str | None:
        return None

    def swap(self, refresh: Any) -> str:
        return ""
