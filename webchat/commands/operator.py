"""``webchat operator``: who may sign in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from webchat.accounts import hash_password, operator_name
from webchat.commands.inputs import accepted, configured_database
from webchat.storage import audit, operators
from webchat.storage.database import Conflict

if TYPE_CHECKING:
    from webchat.storage.database import Session
    from webchat.storage.tables import Operator


@click.group()
def operator() -> None:
    """Look after those who may sign in."""


@operator.command("add", short_help="Add an operator.")
@click.argument("name")
def add_operator(name: str) -> None:
    """Add an operator; the password is asked for, or read from standard input."""
    name, password_hash = accepted(operator_name, name), accepted(hash_password, _new_password())
    try:
        with configured_database().write() as session:
            operators.add(session, name, password_hash)
            audit.record(session, audit.AT_THE_TERMINAL, "operator.add", name)
    except Conflict:
        raise click.ClickException(f"There is an operator {name} already.") from None
    click.echo(f"Added {name}.")


@operator.command("password", short_help="Change an operator's password.")
@click.argument("name")
def change_password(name: str) -> None:
    """Change an operator's password, which ends all of their sessions."""
    name, database = accepted(operator_name, name), configured_database()
    with database.read() as session:  # before a password is asked for in vain
        _existing(session, name)
    password_hash = accepted(hash_password, _new_password())
    with database.write() as session:
        found = _existing(session, name)
        operators.set_password(session, found, password_hash)
        audit.record(session, audit.AT_THE_TERMINAL, "operator.password", name)
    click.echo(f"Changed the password of {name}.")


@operator.command("list")
def list_operators() -> None:
    """Show who may sign in, and when they last did."""
    with configured_database().read() as session:
        for found in operators.all_operators(session):
            last = found.signed_in_at
            click.echo(f"{found.name}\t{last.isoformat(timespec='minutes') if last else 'never signed in'}")


def _existing(session: Session, name: str) -> Operator:
    found = operators.by_name(session, name)
    if found is None:
        raise click.ClickException(f"There is no operator {name}.")
    return found


def _new_password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\n")
