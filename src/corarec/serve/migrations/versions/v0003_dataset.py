"""Of which dataset the ids in a store are."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the column; whoever serves the store next says of which."""
    op.add_column("counter", sa.Column("dataset", sa.Text))
