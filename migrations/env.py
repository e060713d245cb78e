"""Alembic runs this file. webchat hands it a connection; Alembic's own command line leaves it to open one."""

from alembic import context
from sqlalchemy import TypeDecorator

from webchat.config import load_settings
from webchat.storage.database import Database
from webchat.storage.tables import Base


def run(connection):
    context.configure(
        connection=connection, target_metadata=Base.metadata, render_as_batch=True, render_item=plain_type
    )
    with context.begin_transaction():
        context.run_migrations()


def plain_type(kind, item, _autogenerate):
    """Write our own column types as what the database sees: old migrations outlive changes of ours."""
    return f"sa.{item.impl!r}" if kind == "type" and isinstance(item, TypeDecorator) else False


connection = context.config.attributes.get("connection")
if connection is None:
    with Database(load_settings().resolved_database_url).migration() as connection:
        run(connection)
else:
    run(connection)
