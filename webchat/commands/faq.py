"""``webchat faq``: what a new installation can answer."""

from __future__ import annotations

import click

from webchat.answering.example_faq import load_into_new_database
from webchat.commands.inputs import require_data_dir
from webchat.config import load_settings
from webchat.storage.database import Database


@click.group()
def faq() -> None:
    """Look after the FAQ."""


@faq.command(short_help="Load the example FAQ into a new database.")
def example() -> None:
    """Load the example FAQ into a new database; one that ever had entries stays as it is."""
    settings = load_settings()
    require_data_dir(settings)
    loaded = load_into_new_database(Database(settings.resolved_database_url))
    click.echo(f"Loaded {loaded} example entries." if loaded else "The FAQ has been used before; nothing was loaded.")
