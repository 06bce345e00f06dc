"""What is written to the store, and how: one transaction for the writes of many clients."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from corarec.extras import needs
from corarec.serve.tables import ANSWERED, COUNTER, EVENTS, ITEMS, SHOWN, USERS

with needs("serve"):
    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql, sqlite

Kind = Literal["like", "dislike", "seen"]


@dataclass(frozen=True)
class NewEvent:
    """What somebody says of an item."""

    user: str
    item: str
    kind: Kind
    time: int | None = None
    """UTC seconds; None: now, or the time of the user's last event where that is later."""
    request_id: str | None = None
    """The request whose answer showed the item."""


@dataclass(frozen=True)
class Feedback:
    """Events to be written together."""

    events: Sequence[NewEvent]
    overwrite: bool = False
    """What each user said of each of these items before is taken back."""
    key: str | None = None
    """Whoever sends the very same again with the same key gets the same answer, and nothing more
    is written."""

    def body(self) -> str:
        """Return a hash of what is told."""
        told = [self.overwrite, *(astuple(event) for event in self.events)]
        return sha256(json.dumps(told).encode()).hexdigest()


class Told(NamedTuple):
    """What became of `Feedback`."""

    new: dict[str, int]
    """How many events were new, by kind."""
    again: bool = False
    """It was written before, and this is what was answered then."""


@dataclass(frozen=True)
class PutItem:
    """An item to be added, or to get another title."""

    item: str
    title: str
    metadata: Mapping[str, Any]
    most: int
    """No more items than this are kept."""


@dataclass(frozen=True)
class RemoveItem:
    """An added item to be removed."""

    item: str


@dataclass(frozen=True)
class ForgetUser:
    """A user to be forgotten."""

    user: str


@dataclass(frozen=True)
class Shown:
    """A list that was shown."""

    request_id: str
    user: str | None
    rows: Sequence[tuple[str, int, float, float]]
    """Item, rank, score and probability."""


@dataclass(frozen=True)
class Expire:
    """What is older than this, in UTC seconds, is removed."""

    shown_before: int
    events_before: int | None
    answered_before: int = 0


Write = Feedback | PutItem | RemoveItem | ForgetUser | Shown | Expire


class Writing:
    """The writes of one transaction.

    What each returns is told at `Store.write`.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        # The counter first: from here on this is the only writer.
        self._number = int(
            connection.execute(
                sa.update(COUNTER).values(value=COUNTER.c.value + 1).returning(COUNTER.c.value)
            ).scalar_one()
        )

    def write(self, write: Write) -> Any:
        """Write one of them and return what it did."""
        match write:
            case Feedback():
                return self._feedback(write)
            case PutItem():
                return self._put_item(write)
            case RemoveItem():
                return self._remove_item(write)
            case ForgetUser():
                return self._forget(write)
            case Shown():
                return self._shown(write)
            case Expire():
                return self._expire(write)

    def finish(self) -> None:
        """Leave the number of the last change in the store."""
        self._connection.execute(sa.update(COUNTER).values(value=self._number))

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _touch(self, user: str, *, forgotten: bool | None = None) -> None:
        values = {"user_id": user, "number": self._next(), "forgotten": bool(forgotten)}
        changed = {"number": values["number"]}
        if forgotten is not None:
            changed["forgotten"] = forgotten
        insert = self._insert(USERS).values(values)
        self._connection.execute(
            insert.on_conflict_do_update(index_elements=["user_id"], set_=changed)
        )

    def _feedback(self, feedback: Feedback) -> Told | None:
        """Write events; None where the key is that of other ones."""
        if feedback.key is None:
            return Told(self._events(feedback))
        answered = sa.select(ANSWERED.c.body, ANSWERED.c.answer)
        found = self._connection.execute(answered.where(ANSWERED.c.key == feedback.key)).first()
        if found is not None:
            same = found.body == feedback.body()
            return Told(json.loads(found.answer), again=True) if same else None
        new = self._events(feedback)
        values = {"answer": json.dumps(new), "body": feedback.body(), "time": int(time.time())}
        self._connection.execute(sa.insert(ANSWERED).values(values | {"key": feedback.key}))
        return Told(new)

    def _events(self, feedback: Feedback) -> dict[str, int]:
        new: dict[str, int] = {}
        changed: set[str] = set()
        if feedback.overwrite:
            for user, item in {(event.user, event.item) for event in feedback.events}:
                of_both = (EVENTS.c.user_id == user) & (EVENTS.c.item_id == item)
                if self._connection.execute(sa.delete(EVENTS).where(of_both)).rowcount:
                    changed.add(user)
        for event in feedback.events:
            insert = self._insert(EVENTS).values(
                user_id=event.user,
                item_id=event.item,
                kind=event.kind,
                time=self._time(event),
                number=self._next(),
                request_id=event.request_id,
            )
            told = insert.on_conflict_do_nothing().returning(EVENTS.c.number)
            if self._connection.execute(told).first() is not None:
                new[event.kind] = new.get(event.kind, 0) + 1
                changed.add(event.user)
        for user in changed:
            self._touch(user)
        return new

    def _time(self, event: NewEvent) -> int:
        """Return the time of an event; the clock may have been set back since the last one."""
        if event.time is not None:
            return event.time
        last = sa.select(sa.func.max(EVENTS.c.time)).where(EVENTS.c.user_id == event.user)
        return max(int(time.time()), self._connection.scalar(last) or 0)

    def _put_item(self, put: PutItem) -> bool | None:
        there = self._connection.execute(
            sa.select(ITEMS.c.title, ITEMS.c.metadata, ITEMS.c.removed).where(
                ITEMS.c.item_id == put.item
            )
        ).one_or_none()
        metadata = json.dumps(dict(put.metadata), sort_keys=True)
        new = there is None or bool(there.removed)
        if there is not None and not new and (there.title, there.metadata) == (put.title, metadata):
            return False
        if new:
            count = sa.select(sa.func.count()).where(~ITEMS.c.removed).select_from(ITEMS)
            if int(self._connection.scalar(count) or 0) >= put.most:
                return None
        changed = {
            "title": put.title,
            "metadata": metadata,
            "number": self._next(),
            "removed": False,
        }
        values = changed | {"item_id": put.item, "time": int(time.time())}
        insert = self._insert(ITEMS).values(values)
        self._connection.execute(
            insert.on_conflict_do_update(index_elements=["item_id"], set_=changed)
        )
        return new

    def _remove_item(self, remove: RemoveItem) -> bool:
        found = self._connection.execute(
            sa.update(ITEMS)
            .where((ITEMS.c.item_id == remove.item) & ~ITEMS.c.removed)
            .values(removed=True, number=self._next())
        )
        return found.rowcount > 0

    def _forget(self, forget: ForgetUser) -> int:
        self._connection.execute(sa.delete(SHOWN).where(SHOWN.c.user_id == forget.user))
        gone = self._connection.execute(sa.delete(EVENTS).where(EVENTS.c.user_id == forget.user))
        self._touch(forget.user, forgotten=True)
        return int(gone.rowcount)

    def _shown(self, shown: Shown) -> None:
        now = int(time.time())
        for item, rank, score, probability in shown.rows:
            values = {"rank": rank, "score": score, "probability": probability, "time": now}
            insert = self._insert(SHOWN).values(
                values | {"request_id": shown.request_id, "item_id": item, "user_id": shown.user}
            )
            self._connection.execute(insert.on_conflict_do_nothing())

    def _expire(self, expire: Expire) -> int:
        old = sa.delete(SHOWN).where(SHOWN.c.time < expire.shown_before)
        gone = int(self._connection.execute(old).rowcount)
        answered = sa.delete(ANSWERED).where(ANSWERED.c.time < expire.answered_before)
        gone += int(self._connection.execute(answered).rowcount)
        if expire.events_before is None:
            return gone
        is_old = EVENTS.c.time < expire.events_before
        users = self._connection.scalars(sa.select(EVENTS.c.user_id).where(is_old).distinct())
        for user in users.all():
            self._touch(user)
        return gone + int(self._connection.execute(sa.delete(EVENTS).where(is_old)).rowcount)
