"""The first tables."""

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    counter = op.create_table(
        "counter",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("store", sa.Text, nullable=False),
    )
    op.bulk_insert(counter, [{"id": 1, "value": 0, "store": secrets.token_hex(16)}])
    op.create_table(
        "events",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("time", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("request_id", sa.Text),
    )
    op.create_index("events_by_number", "events", ["number"])
    op.create_index("events_by_time", "events", ["time"])
    op.create_table(
        "users",
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("forgotten", sa.Boolean, nullable=False),
    )
    op.create_index("users_by_number", "users", ["number"])
    op.create_table(
        "items",
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("metadata", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("removed", sa.Boolean, nullable=False),
    )
    op.create_index("items_by_number", "items", ["number"])
    op.create_table(
        "shown",
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("user_id", sa.Text),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("score", sa.Float, nullable=False),
        sa.Column("probability", sa.Float, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
    )
    op.create_index("shown_by_time", "shown", ["time"])
    op.create_index("shown_by_user", "shown", ["user_id"])
