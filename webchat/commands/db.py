"""``webchat db``: the database's tables."""

from __future__ import annotations

import click

from webchat.commands.inputs import require_data_dir
from webchat.config import load_settings
from webchat.storage import schema
from webchat.storage.database import Database


@click.group()
def db() -> None:
    """Look after the database."""


@db.command("upgrade", short_help="Bring the database to this version's tables.")
def upgrade() -> None:
    """Bring the database to this version's tables; an SQLite file is copied first."""
    settings = load_settings()
    require_data_dir(settings)
    database = Database(settings.resolved_database_url)
    changed = schema.upgrade(database, settings.data_dir / "snapshots")
    click.echo("The database was upgraded." if changed else "The database is up to date.")
