"""What is written to the store, and how: one transaction for the writes of many clients."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from hashlib import sha256
from typing import Any, Literal, NamedTuple

from corarec.extras import needs
from corarec.runs.live.checks import LAST_SECOND
from corarec.serve.tables import ANSWERED, COUNTER, EVENTS, ITEMS, SHOWN, USERS

with needs("serve"):
    import sqlalchemy as sa
    from sqlalchemy.dialects import postgresql, sqlite

Kind = Literal["like", "dislike", "seen"]
MOST_EVENTS = 10_000
"""Of one user: what a run keeps while it is in use, so that what is acknowledged counts."""


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
    most: int = MOST_EVENTS
    """No more events of a user than this are kept."""

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
    full: str | None = None
    """A user of whom as many events are kept as may be: nothing was written."""


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
    in_dataset: bool = True
    """The dataset knows the user, too: that it does not count is kept."""


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
    """Of answers that could be sent again, and of items that were removed."""
    emptied_until: int = -1
    """The number of a change that every process has read by now: users who had no event any more
    by then are dropped."""


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
            full = self._full(feedback)
            return Told({}, full=full) if full else Told(self._events(feedback))
        answered = sa.select(ANSWERED.c.body, ANSWERED.c.answer)
        found = self._connection.execute(answered.where(ANSWERED.c.key == feedback.key)).first()
        if found is not None:
            same = found.body == feedback.body()
            return Told(json.loads(found.answer), again=True) if same else None
        if full := self._full(feedback):
            return Told({}, full=full)
        new = self._events(feedback)
        values = {"answer": json.dumps(new), "body": feedback.body(), "time": _now()}
        self._connection.execute(sa.insert(ANSWERED).values(values | {"key": feedback.key}))
        return Told(new)

    def _full(self, feedback: Feedback) -> str | None:
        """Return a user who would have more events than are kept."""
        of_users: dict[str, list[NewEvent]] = {}
        for event in feedback.events:
            of_users.setdefault(event.user, []).append(event)
        for user, events in of_users.items():
            of_user = EVENTS.c.user_id == user
            items = {event.item for event in events}
            if self._count(of_user) + len(events) <= feedback.most:
                continue
            kept = self._count(of_user)
            if feedback.overwrite:
                kept -= sum(self._count(of_user & (EVENTS.c.item_id == item)) for item in items)
            keys = {(event.item, event.kind, event.time) for event in events}
            for item, kind, when in () if feedback.overwrite else keys:
                same = (EVENTS.c.item_id == item) & (EVENTS.c.kind == kind)
                kept -= self._count(of_user & same & (EVENTS.c.time == when))
            if kept + len(keys) > feedback.most:
                return user
        return None

    def _count(self, which: sa.ColumnElement[bool]) -> int:
        counted = sa.select(sa.func.count()).select_from(EVENTS).where(which)
        return int(self._connection.scalar(counted) or 0)

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
        when = max(_now(), self._connection.scalar(last) or 0)
        said = (
            sa.select(EVENTS.c.kind)
            .where(EVENTS.c.user_id == event.user, EVENTS.c.item_id == event.item)
            .where(EVENTS.c.time == when)
            .order_by(EVENTS.c.number.desc())
        )
        kinds = self._connection.scalars(said).all()
        # Who likes, dislikes and likes again within a second says something new the third time.
        changed = event.kind in kinds and kinds[0] != event.kind
        return min(when + changed, LAST_SECOND)

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
        values = changed | {"item_id": put.item, "time": _now()}
        if new:
            changed["time"] = values["time"]
        insert = self._insert(ITEMS).values(values)
        self._connection.execute(
            insert.on_conflict_do_update(index_elements=["item_id"], set_=changed)
        )
        return new

    def _remove_item(self, remove: RemoveItem) -> bool:
        found = self._connection.execute(
            sa.update(ITEMS)
            .where((ITEMS.c.item_id == remove.item) & ~ITEMS.c.removed)
            .values(removed=True, number=self._next(), time=_now())
        )
        return found.rowcount > 0

    def _forget(self, forget: ForgetUser) -> int:
        self._connection.execute(sa.delete(SHOWN).where(SHOWN.c.user_id == forget.user))
        gone = self._connection.execute(sa.delete(EVENTS).where(EVENTS.c.user_id == forget.user))
        there = sa.select(USERS.c.user_id).where(USERS.c.user_id == forget.user)
        if forget.in_dataset or self._connection.scalar(there) is not None:
            self._touch(forget.user, forgotten=True)
        return int(gone.rowcount)

    def _shown(self, shown: Shown) -> None:
        now = _now()
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
        gone += self._expire_removed(expire.answered_before)
        gone += self._expire_emptied(expire.emptied_until)
        if expire.events_before is None:
            return gone
        is_old = EVENTS.c.time < expire.events_before
        users = self._connection.scalars(sa.select(EVENTS.c.user_id).where(is_old).distinct())
        for user in users.all():
            self._touch(user)
        return gone + int(self._connection.execute(sa.delete(EVENTS).where(is_old)).rowcount)

    def _expire_removed(self, before: int) -> int:
        """Drop items that were removed by then and that no history shows."""
        gone = ITEMS.c.removed & (ITEMS.c.time < before)
        if self._connection.execute(sa.select(ITEMS.c.item_id).where(gone)).first() is None:
            return 0
        told = sa.select(EVENTS.c.item_id).where(EVENTS.c.item_id == ITEMS.c.item_id)
        return int(self._connection.execute(sa.delete(ITEMS).where(gone & ~told.exists())).rowcount)

    def _expire_emptied(self, until: int) -> int:
        """Drop users of whom nothing is kept any more."""
        told = sa.select(EVENTS.c.user_id).where(EVENTS.c.user_id == USERS.c.user_id)
        empty = ~USERS.c.forgotten & (USERS.c.number <= until) & ~told.exists()
        return int(self._connection.execute(sa.delete(USERS).where(empty)).rowcount)


def _now() -> int:
    """Return the clock's second, within the years that a time may have."""
    return min(max(0, int(time.time())), LAST_SECOND)
