"""The tables of the store; `migrations/` makes them."""

from corarec.extras import needs

with needs("serve"):
    from sqlalchemy import (
        BigInteger,
        Boolean,
        Column,
        Float,
        Index,
        Integer,
        MetaData,
        Table,
        Text,
    )

METADATA = MetaData()

COUNTER = Table(
    "counter",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("store", Text, nullable=False),
    Column("dataset", Text),
)
"""One row: the number of the last change, a name that no other store has, and what tells the
dataset whose ids stand in it from others, as a JSON object. Whoever writes changes it first, so
that changes are committed in the order of their numbers."""

EVENTS = Table(
    "events",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("item_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("time", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
    Column("request_id", Text),
    Index("events_by_number", "number"),
    Index("events_by_time", "time"),
)
"""What people said; `number` is the order of arrival."""

USERS = Table(
    "users",
    METADATA,
    Column("user_id", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("forgotten", Boolean, nullable=False),
    Index("users_by_number", "number"),
)
"""Whose events changed, and in which change last."""

ITEMS = Table(
    "items",
    METADATA,
    Column("item_id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("metadata", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("removed", Boolean, nullable=False),
    Index("items_by_number", "number"),
)
"""Items that were added; `metadata` is a JSON object, `time` when each was added, or removed."""

SHOWN = Table(
    "shown",
    METADATA,
    Column("request_id", Text, primary_key=True),
    Column("item_id", Text, primary_key=True),
    Column("user_id", Text),
    Column("rank", Integer, nullable=False),
    Column("score", Float, nullable=False),
    Column("probability", Float, nullable=False),
    Column("time", BigInteger, nullable=False),
    Index("shown_by_time", "time"),
    Index("shown_by_user", "user_id"),
)
"""What was shown to whom."""

ANSWERED = Table(
    "answered",
    METADATA,
    Column("key", Text, primary_key=True),
    Column("body", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Index("answered_by_time", "time"),
)
"""What was answered to a request with a key by which it may be sent again: `body` is a hash of what
it told, `answer` a JSON object."""
