"""What the store says reaches the live run, whatever is odd about one of its rows."""

from typing import Any

import pytest

from corarec.errors import DataError
from corarec.serve.engine import Engine
from corarec.serve.store import Changes, ItemState, StoredEvent, UserState


class Live:
    """Keeps what it is told; the items it knows are `a`, `b` and those that are added."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {"a": "A", "b": "B"}
        self.told: dict[str, list[tuple[str, str, int]]] = {}
        self.forgotten: list[str] = []

    def info(self) -> dict[str, Any]:
        return {"run": "live", "refresh": None}

    def add_item(self, item: str, title: str, *, time: int, **metadata: Any) -> bool:
        if item == "a":
            raise DataError("It is one of the dataset.")
        if title == "breaks":
            raise RuntimeError("it breaks")
        self.items[item] = title
        return True

    def item(self, item: str) -> str:
        if item not in self.items:
            raise DataError("Nobody knows the item.")
        return self.items[item]

    def remove_item(self, item: str) -> bool:
        return self.items.pop(item, None) is not None

    def record(self, user: str, item: str, kind: str, time: int) -> bool:
        if item not in self.items:
            raise DataError("Nobody knows the item.")
        if user == "breaks":
            raise RuntimeError("it breaks")
        self.told.setdefault(user, []).append((item, kind, time))
        return True

    def retract(self, user: str, item: str, kind: str, time: int) -> bool:
        self.told[user].remove((item, kind, time))
        return True

    def forget(self, user: str) -> int:
        self.forgotten.append(user)
        return len(self.told.pop(user, []))


@pytest.fixture
def live() -> Live:
    return Live()


@pytest.fixture
def engine(live: Live) -> Engine:
    return Engine(live)  # type: ignore[arg-type]


def user(*items: str, forgotten: bool = False) -> UserState:
    return UserState([StoredEvent(item, "like", n) for n, item in enumerate(items)], forgotten)


def item(title: str, *, removed: bool = False) -> ItemState:
    return ItemState(title, {"year": 1999}, 5, removed)


def take(engine: Engine, *, reset: bool = False, **what: Any) -> bool:
    return engine.take(Changes("s", 1, **what), reset=reset)


def test_a_state_told_twice_is_told_once_and_what_goes_is_taken_back(
    engine: Engine, live: Live
) -> None:
    for _ in range(2):
        take(engine, users={"u": user("a", "b")})
    assert live.told == {"u": [("a", "like", 0), ("b", "like", 1)]}
    take(engine, users={"u": user("b")})
    assert live.told["u"] == [("b", "like", 0)]


def test_an_event_waits_for_its_item(engine: Engine, live: Live) -> None:
    take(engine, users={"u": user("new")})
    assert live.told == {}
    take(engine, items={"new": item("New")})
    assert live.told == {"u": [("new", "like", 0)]}
    take(engine, items={"new": item("New", removed=True)})
    assert "new" not in live.items


def test_a_forgotten_user_is_forgotten_once(engine: Engine, live: Live) -> None:
    take(engine, users={"u": user("a")})
    for _ in range(2):
        take(engine, users={"u": user(forgotten=True)})
    take(engine, users={"u": user("b", forgotten=True)})
    assert live.forgotten == ["u"]
    assert live.told == {"u": [("b", "like", 0)]}


def test_what_was_told_before_is_void_after_a_reset(engine: Engine, live: Live) -> None:
    take(engine, users={"u": user("a"), "v": user("b")}, items={"new": item("New")})
    take(engine, reset=True, users={"v": user("a")})
    assert live.told == {"u": [], "v": [("a", "like", 0)]}
    assert "new" not in live.items


def test_it_tells_when_somebody_or_something_leaves(engine: Engine) -> None:
    assert not take(engine, users={"u": user("a")}, items={"new": item("New")})
    assert not take(engine, items={"new": item("Newer"), "none": item("None", removed=True)})
    assert take(engine, items={"new": item("New", removed=True)})
    assert not take(engine, items={"new": item("New", removed=True)})
    assert take(engine, users={"u": user(forgotten=True)})
    assert not take(engine, users={"u": user("b", forgotten=True)})
    assert take(engine, reset=True)


def test_what_is_odd_keeps_nothing_else_back(
    engine: Engine, live: Live, caplog: pytest.LogCaptureFixture
) -> None:
    take(
        engine,
        items={"x": item("breaks"), "a": item("Mine"), "new": item("New")},
        users={"breaks": user("a"), "u": user("a", "new")},
    )
    assert live.items == {"a": "A", "b": "B", "new": "New"}
    assert live.told == {"u": [("a", "like", 0), ("new", "like", 1)]}
    assert "left out" in caplog.text


def test_an_item_removed_before_this_process_began_stays_in_histories(
    engine: Engine, live: Live
) -> None:
    gone = {"gone": item("Gone", removed=True)}
    take(engine, users={"u": user("a", "gone")}, items=gone)
    assert live.told == {"u": [("a", "like", 0), ("gone", "like", 1)]}
    assert "gone" not in live.items
