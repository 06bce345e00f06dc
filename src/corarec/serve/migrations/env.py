"""What Alembic runs: migrations in the connection that it is given."""

from alembic import context

from corarec.serve.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
