"""The store: events, added items and what was shown, in SQLite or Postgres.

One transaction may take the writes of many clients. Every write first changes the counter's row,
which holds back other writers until it is committed: changes are seen in the order of their
numbers, so a reader that asks for what came after a number misses none.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corarec.extras import needs
from corarec.serve.database import identity, is_sqlite, make_engine
from corarec.serve.tables import COUNTER, EVENTS, ITEMS, SHOWN, USERS
from corarec.serve.writes import Kind, Write, Writing

with needs("serve"):
    import sqlalchemy as sa
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError
    from sqlalchemy.exc import TimeoutError as PoolTimeoutError

DAY = 86_400
AT_ONCE = 500
"""Keys in one statement."""


class StoreUnavailableError(Exception):
    """The store did not take or give what was asked: gone, full, locked."""


@dataclass(frozen=True)
class StoredEvent:
    """An event as it stands in the store."""

    item: str
    kind: Kind
    time: int


@dataclass(frozen=True)
class UserState:
    """All that the store knows of a user."""

    events: list[StoredEvent]
    """By time, and where that is equal in the order of arrival."""
    forgotten: bool
    """What was known before the store does not count."""


@dataclass(frozen=True)
class ItemState:
    """An item that was added."""

    title: str
    metadata: dict[str, Any]
    time: int
    removed: bool


@dataclass(frozen=True)
class Changes:
    """What changed since a number."""

    store: str
    """The store's own name."""
    number: int
    users: dict[str, UserState] = field(default_factory=dict)
    items: dict[str, ItemState] = field(default_factory=dict)


class Store:
    """A store that exists; see `open_store`.

    Its methods may be called from any thread. What fails because of the store itself raises
    `StoreUnavailableError`, and the next call tries again.
    """

    def __init__(self, url: sa.URL) -> None:
        self.url = url
        self.file = Path(url.database) if is_sqlite(url) and url.database else None
        self._engine = make_engine(url, writes=True)
        self._reader = make_engine(url, writes=False) if self.file else self._engine
        self._identity = identity(self.file)

    @property
    def kind(self) -> str:
        """The database in a word."""
        return "sqlite" if self.file else "postgresql"

    def close(self) -> None:
        """Close its connections."""
        self._engine.dispose()
        self._reader.dispose()

    def reopen(self) -> None:
        """Take the file that is there now for the store."""
        self._identity = identity(self.file)

    def connection(self) -> AbstractContextManager[sa.Connection]:
        """Return a connection in a transaction, for migrations."""
        return self._engine.begin()

    def bind(self, dataset: Mapping[str, str], *, adopt: bool = False) -> list[str]:
        """Say of which dataset the ids are; the first who does so binds the store to it.

        Parameters
        ----------
        dataset
            A digest of each part in which datasets differ.
        adopt
            Bind it to this one, whichever it was before.

        Returns
        -------
        Parts in which the store's dataset is another; then nothing was changed.

        Raises
        ------
        StoreUnavailableError
            The store cannot be read or written now.
        """
        with self._errors(), self._engine.begin() as connection:
            found = connection.execute(sa.select(COUNTER.c.dataset)).scalar_one()
            before = dict(dataset) if found is None else json.loads(found)
            other = [name for name in dataset if before.get(name) != dataset[name]]
            if found is not None and not adopt:
                return other
            if found is None or other:
                told = json.dumps(dict(dataset), sort_keys=True)
                connection.execute(sa.update(COUNTER).values(dataset=told))
            return []

    # ---- writing

    def write(self, writes: Sequence[Write]) -> list[Any]:
        """Make some writes durable, all or none, and return what each did.

        Of `Feedback` what is `Told`, or None where its key is that of other events; of `PutItem`
        whether it is new, or None where no more items are taken; of `RemoveItem` whether there was
        one; of `ForgetUser` how many events went; of `Expire` how many rows.

        Raises
        ------
        StoreUnavailableError
            Nothing was written, or it is not known whether; writing it again does no harm.
        """
        with self._errors():
            self._check_there()
            with self._engine.begin() as connection:
                writer = Writing(connection)
                results = [writer.write(each) for each in writes]
                writer.finish()
            self._check_there()
            return results

    # ---- reading

    def changes(self, store: str, since: int) -> Changes:
        """Return what changed after the change `since` of a store of this name.

        All there is, where this is another store or one that was set back.
        """
        with self._errors():
            self._check_there()
            with self._reader.connect() as connection:
                row = connection.execute(sa.select(COUNTER.c.store, COUNTER.c.value)).one()
                if row.store != store or row.value < since:
                    since = -1
                if row.value == since:
                    return Changes(row.store, since)
                return Changes(
                    row.store,
                    row.value,
                    _users_since(connection, since),
                    _items_since(connection, since),
                )

    def export(self) -> Iterator[dict[str, Any]]:
        """Yield every event with what was shown before it, oldest first."""
        joined = EVENTS.outerjoin(
            SHOWN,
            sa.and_(EVENTS.c.request_id == SHOWN.c.request_id, EVENTS.c.item_id == SHOWN.c.item_id),
        )
        found = (
            sa.select(
                EVENTS.c.user_id.label("user"),
                EVENTS.c.item_id.label("item"),
                EVENTS.c.kind,
                EVENTS.c.time,
                EVENTS.c.number.label("arrived"),
                EVENTS.c.request_id,
                SHOWN.c.rank.label("shown_rank"),
                SHOWN.c.probability.label("shown_probability"),
            )
            .select_from(joined)
            .order_by(EVENTS.c.time, EVENTS.c.number)
        )
        with self._errors():
            self._check_there()
            with self._reader.connect() as connection:
                for row in connection.execution_options(yield_per=10_000).execute(found):
                    yield dict(row._mapping)

    def counts(self) -> dict[str, int]:
        """Return how many rows the tables hold."""
        with self._errors(), self._reader.connect() as connection:
            return {
                table.name: connection.execute(
                    sa.select(sa.func.count()).select_from(table)
                ).scalar_one()
                for table in (EVENTS, ITEMS, USERS, SHOWN)
            }

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            if isinstance(error, DBAPIError | PoolTimeoutError | OSError):
                # A new connection may find it again.
                self._engine.dispose()
                self._reader.dispose()
                original = getattr(error, "orig", None) or error
                words = f"{type(original).__name__}: {original}".partition("\n")[0]
                raise StoreUnavailableError(words) from error
            raise

    def _check_there(self) -> None:
        """See that the file is the one that was opened: one that was deleted takes writes, too."""
        if self.file is None:
            return
        now = identity(self.file)
        if now is None:
            self._identity = None
            raise FileNotFoundError(f"{self.file.name} is not there any more")
        if now != self._identity:
            before, self._identity = self._identity, now
            self._engine.dispose()
            self._reader.dispose()
            if before is not None:
                raise FileNotFoundError(f"{self.file.name} was replaced by another file")


def _users_since(connection: sa.Connection, since: int) -> dict[str, UserState]:
    rows = connection.execute(
        sa.select(USERS.c.user_id, USERS.c.forgotten).where(USERS.c.number > since)
    ).all()
    users = {row.user_id: UserState([], bool(row.forgotten)) for row in rows}
    names = list(users)
    columns = (EVENTS.c.user_id, EVENTS.c.item_id, EVENTS.c.kind, EVENTS.c.time)
    for first in range(0, len(names), AT_ONCE):
        found = connection.execute(
            sa.select(*columns)
            .where(EVENTS.c.user_id.in_(names[first : first + AT_ONCE]))
            .order_by(EVENTS.c.user_id, EVENTS.c.time, EVENTS.c.number)
        )
        for user, item, kind, when in found:
            users[user].events.append(StoredEvent(item, kind, when))
    return users


def _items_since(connection: sa.Connection, since: int) -> dict[str, ItemState]:
    rows = connection.execute(
        sa.select(ITEMS).where(ITEMS.c.number > since).order_by(ITEMS.c.number)
    )
    return {
        row.item_id: ItemState(row.title, json.loads(row.metadata), row.time, bool(row.removed))
        for row in rows
    }
