"""Run by alembic: takes the steps on the connection that `database.migrate` holds."""

from alembic import context

from onspec.records.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
