"""Connections to the database, whose commits are durable."""

from pathlib import Path
from typing import Any

from corarec.errors import ConfigError
from corarec.extras import needs

with needs("serve"):
    import sqlalchemy as sa
    from sqlalchemy.exc import SQLAlchemyError

BUSY_SECONDS = 5.0
"""So long a writer waits for another process that is writing."""


def store_url(text: str) -> sa.URL:
    """Return the URL of a store.

    Raises
    ------
    ConfigError
        It is no URL of SQLite with a file or of Postgres.
    """
    wanted = "Wanted is sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE."
    try:
        url = sa.make_url(text)
    except (SQLAlchemyError, ValueError) as error:
        raise ConfigError(f"The store is no URL. {wanted}") from error
    name = url.get_backend_name()
    if name == "sqlite" and url.database and url.database != ":memory:" and "?" not in text:
        return url.set(drivername="sqlite+pysqlite")
    if name in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    raise ConfigError(
        f"The store {url.render_as_string(hide_password=True)!r} cannot be used. {wanted}"
    )


def is_sqlite(url: sa.URL) -> bool:
    """Whether it is a file of SQLite."""
    return url.get_backend_name() == "sqlite"


def identity(file: Path | None) -> tuple[int, int] | None:
    """Return what tells a file from another of the same name; None where there is none."""
    try:
        found = file.stat() if file else None
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found else None


def make_engine(url: sa.URL, *, writes: bool) -> sa.Engine:
    """Return an engine whose transactions are durable when they are committed."""
    if not is_sqlite(url):
        return sa.create_engine(
            url,
            pool_size=4,
            max_overflow=4,
            pool_timeout=BUSY_SECONDS,
            pool_pre_ping=True,
            connect_args={
                "connect_timeout": 5,
                "keepalives_idle": 10,
                "keepalives_interval": 5,
                "keepalives_count": 3,
                "tcp_user_timeout": 15_000,
                "options": "-c statement_timeout=15000 -c lock_timeout=10000",
            },
        )
    engine = sa.create_engine(
        url,
        pool_size=1 if writes else 4,
        max_overflow=0 if writes else 4,
        pool_timeout=BUSY_SECONDS,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )

    @sa.event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where SQLAlchemy says so
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
            connection.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
