"""Run by Alembic; see `python_ml.warehouse.connection.migrate`."""

from alembic import context

from python_ml import schema
from python_ml.settings import Settings

settings: Settings = context.config.attributes["settings"]
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.metadata,
    version_table_schema=settings.schema(schema.ML),
)
# The caller holds the transaction, so that a failed migration leaves nothing.
context.run_migrations()
