"""The run as the scoring thread owns it: told what the store knows, asked for answers."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from corarec.errors import ConfigError, DataError
from corarec.runs.live import LiveRun
from corarec.serve.store import Changes, ItemState, StoredEvent, UserState

log = logging.getLogger(__name__)

NOBODY = UserState([], forgotten=False)


class Engine:
    """Keeps a live run at the state of the store; confined to the scoring thread.

    The store hands over whole states of users and items, so that telling one twice does no harm.
    """

    def __init__(self, live: LiveRun) -> None:
        self.live = live
        self._states: dict[str, UserState] = {}
        self._told: dict[str, Counter[StoredEvent]] = {}
        self._held: set[str] = set()
        """Users with events of items that nobody knows yet."""
        self._items: dict[str, ItemState] = {}
        self.about = live.info()
        """What it is and how much it knows, as plain values."""
        self.refreshed: str | None = self.about["refresh"]
        """The refresh that was tried last; a damaged one is tried once."""

    def swap(self, newest: str | None) -> bool:
        """Take a refresh into use; None: the run as it was trained. What is known is another."""
        self.live.swap(newest)
        self.about = self.live.info()
        log.info("in use is %s of %s", newest or "the training", self.about["run"])
        return True

    def check_alike(self, other: LiveRun) -> None:
        """See that another run can stand beside this one.

        Raises
        ------
        ConfigError
            It is of another dataset, so that a user or an item of one is none of the other.
        """
        ours = self.live.run.knowledge.fingerprint.model_dump()
        theirs = other.run.knowledge.fingerprint.model_dump()
        if differing := [name for name in ours if ours[name] != theirs[name]]:
            raise ConfigError(
                f"{other.run.folder} is of another dataset than {self.live.run.folder}: they "
                f"differ in {', '.join(differing)}. Two runs stand side by side where both were "
                "trained on one prepared dataset; else serve each by itself."
            )

    def take(self, changes: Changes, *, reset: bool) -> bool:
        """Take in what changed; with `reset` what is not in it is void.

        Returns whether somebody or something is gone: numbers of theirs may be given to others.
        """
        users, items = changes.users, changes.items
        if reset:
            users = dict.fromkeys(self._states, NOBODY) | users
            gone = {item: _removed(state) for item, state in self._items.items()}
            items = gone | items
        leaves = reset or self._anybody_leaves(changes)
        self._take_items(items)
        again = self._held - users.keys() if items else set()
        users = users | {user: self._states[user] for user in again}
        with self._removed_ones(users):
            for user, state in users.items():
                try:
                    self._take_user(user, state)
                except Exception:
                    log.exception("what changed of a user is left out")
        self.about = self.live.info()
        return leaves

    def _anybody_leaves(self, changes: Changes) -> bool:
        items = (name for name, state in changes.items.items() if state.removed)
        users = (name for name, state in changes.users.items() if state.forgotten)
        return any(name in self._items and not self._items[name].removed for name in items) or any(
            not self._states.get(name, NOBODY).forgotten for name in users
        )

    def _take_items(self, items: Mapping[str, ItemState]) -> None:
        for item, state in items.items():
            before = self._items.get(item)
            try:
                if not state.removed:
                    self.live.add_item(item, state.title, time=state.time, **state.metadata)
                elif before is not None and not before.removed:
                    self.live.remove_item(item)
            except DataError as error:
                # Such as an item that the dataset has by now: what it says goes.
                log.warning("an added item is left out: %s", error)
            except Exception:
                # What one says may not keep back what all others say.
                log.exception("an added item is left out")
            self._items[item] = state

    @contextmanager
    def _removed_ones(self, users: Mapping[str, UserState]) -> Iterator[None]:
        """Let histories show items that were removed before this process heard of them."""
        named = {event.item for state in users.values() for event in state.events}
        removed = {
            item
            for item in named & self._items.keys()
            if self._items[item].removed and not self._is_known(item)
        }
        for item in removed:
            state = self._items[item]
            self._take_items({item: replace(state, removed=False)})
        try:
            yield
        finally:
            self._take_items({item: replace(self._items[item], removed=True) for item in removed})

    def _is_known(self, item: str) -> bool:
        try:
            self.live.item(item)
        except DataError:
            return False
        return True

    def _take_user(self, user: str, state: UserState) -> None:
        before = self._states.get(user, NOBODY)
        self._states[user] = state
        told = self._told.get(user, Counter())
        if state.forgotten and not before.forgotten:
            self.live.forget(user)
            told = Counter()
        wanted = Counter(state.events)
        for event in told - wanted:
            self.live.retract(user, event.item, event.kind, event.time)
        told &= wanted
        self._held.discard(user)
        for event in state.events:
            if event in told:
                continue
            try:
                self.live.record(user, event.item, event.kind, event.time)
            except DataError:
                self._held.add(user)
            else:
                told[event] += 1
        self._told[user] = told


def _removed(state: ItemState) -> ItemState:
    return ItemState(state.title, state.metadata, state.time, removed=True)
