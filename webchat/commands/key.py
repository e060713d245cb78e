"""``webchat key``: who may use the OpenAI-compatible API."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from webchat.accounts import operator_name
from webchat.commands.inputs import accepted, configured_database
from webchat.storage import api_keys, audit
from webchat.storage.database import Conflict

if TYPE_CHECKING:
    from datetime import datetime

    from webchat.storage.tables import ApiKey

_MOST_PER_MINUTE = 1_000_000


@click.group()
def key() -> None:
    """Look after the keys of programs that use /v1."""


@key.command(short_help="Make a key and print it.")
@click.argument("name")
@click.option("--per-minute", type=click.IntRange(1, _MOST_PER_MINUTE), help="Most completions in a minute.")
def add(name: str, per_minute: int | None) -> None:
    """Make a key and print it, this once: only its hash is kept. Without a limit it may ask as often as it likes.

    The key is alone on standard output, for scripts.
    """
    name = accepted(operator_name, name)
    try:
        with configured_database().write() as session:
            made = api_keys.add(session, name, per_minute)
            audit.record(session, audit.AT_THE_TERMINAL, "key.add", name, per_minute=per_minute)
    except Conflict:
        raise click.ClickException(f"There is a key {name} already; revoke it first.") from None
    click.echo(f"Added {name}. This is its key; it cannot be shown again.", err=True)
    click.echo(made)


@key.command("list")
def list_keys() -> None:
    """Show the keys, their limits and when they were used."""
    with configured_database().read() as session:
        for found in api_keys.everything(session):
            click.echo("\t".join(_row(found)))


@key.command()
@click.argument("name")
def revoke(name: str) -> None:
    """End a key; its next request is refused."""
    name = accepted(operator_name, name)
    with configured_database().write() as session:
        if not api_keys.revoke(session, name):
            raise click.ClickException(f"There is no key {name}.")
        audit.record(session, audit.AT_THE_TERMINAL, "key.revoke", name)
    click.echo(f"Revoked {name}.")


def _row(found: ApiKey) -> tuple[str, ...]:
    return (
        found.name,
        f"{found.per_minute} per minute" if found.per_minute else "no limit",
        f"made {_minute(found.created_at)}",
        f"last used {_minute(found.last_used_at)}" if found.last_used_at else "never used",
        f"revoked {_minute(found.revoked_at)}" if found.revoked_at else "in force",
    )


def _minute(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")
