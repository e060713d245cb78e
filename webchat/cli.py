"""The command line: results on stdout, everything else on stderr."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webchat.accounts import hash_password, operator_name
from webchat.answering.example_faq import load_into_new_database
from webchat.config import CHECKOUT, ConfigurationError, load_settings
from webchat.engine import weights
from webchat.engine.progress import megabytes
from webchat.storage import audit, operators, schema
from webchat.storage.database import Conflict, Database, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

_AT_THE_TERMINAL = "(command line)"  # in the audit, where an operator's name stands; no name can be this one
_INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended


class Commands(click.Group):
    """A group whose commands fail with one sentence and exit status 1, never with a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what it raises for people becomes their sentence."""
        try:
            return super().invoke(ctx)
        except (ConfigurationError, StorageUnavailable, weights.ModelError) as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            ctx.exit(_INTERRUPTED)


@click.group(cls=Commands)
def main() -> None:
    """Run and look after a webchat installation."""


@main.group()
def model() -> None:
    """Fetch, show and check the model's weights."""


@model.command()
def fetch() -> None:
    """Download the weights unless they are here; print their path."""
    click.echo(weights.fetch(load_settings()))


@model.command("list")
def list_() -> None:
    """Show the weights on this machine; the one in use has a star."""
    files = weights.stored_files(load_settings())
    if not files:
        click.echo("No weights on this machine yet: type `webchat model fetch`.", err=True)
    width = max((len(file.name) for file in files), default=0)
    for file in files:
        star = "*" if file.served else " "
        click.echo(f"{star} {file.name:<{width}}  {megabytes(file.size):>11}  {file.source}")


@model.command()
@click.option("--served", is_flag=True, help="The file the server loads.")
def path(*, served: bool) -> None:  # noqa: ARG001 - weights are served as fetched: both answers are the same file
    """Print where the weights are."""
    click.echo(weights.served_path(load_settings()))


@model.command()
def verify() -> None:
    """Read the weights in use and compare them with what was fetched."""
    click.echo(weights.verify(load_settings()))


@main.command()
def serve() -> None:
    """Serve the site with gunicorn on HOST:PORT."""
    from webchat.web.admin.setup import ensure_admin_password, issue_setup_token  # noqa: PLC0415 - brings all of Flask

    settings = load_settings()
    database = Database(settings.resolved_database_url)
    if not schema.is_current(database):
        raise click.ClickException("The database is not at this version's tables: type `webchat db upgrade`.")
    if password := settings.admin_password.get_secret_value():
        ensure_admin_password(database, password)
    token = issue_setup_token(database)
    database.close()
    _announce(f"http://{_reachable(settings.host)}:{settings.port}", token)
    gunicorn = Path(sys.executable).with_name("gunicorn")
    os.chdir(CHECKOUT)
    os.execv(gunicorn, [str(gunicorn), "-c", str(CHECKOUT / "gunicorn_conf.py")])  # noqa: S606 - our own program, no shell


@main.group()
def db() -> None:
    """Look after the database."""


@db.command("upgrade")
def upgrade() -> None:
    """Bring the database to this version's tables; an SQLite file is copied first."""
    settings = load_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = Database(settings.resolved_database_url)
    changed = schema.upgrade(database, settings.data_dir / "snapshots")
    click.echo("The database was upgraded." if changed else "The database is up to date.")


@main.group()
def faq() -> None:
    """Look after the FAQ."""


@faq.command()
def example() -> None:
    """Load the example FAQ into a new database; one that ever had entries stays as it is."""
    loaded = load_into_new_database(_database())
    click.echo(f"Loaded {loaded} example entries." if loaded else "The FAQ has been used before; nothing was loaded.")


@main.group()
def operator() -> None:
    """Look after those who may sign in."""


@operator.command("add")
@click.argument("name")
def add_operator(name: str) -> None:
    """Add an operator; the password is asked for, or read from standard input."""
    name, password_hash = _accepted(operator_name, name), _accepted(hash_password, _new_password())
    try:
        with _database().write() as session:
            operators.add(session, name, password_hash)
            audit.record(session, _AT_THE_TERMINAL, "operator.add", name)
    except Conflict:
        raise click.ClickException(f"There is an operator {name} already.") from None
    click.echo(f"Added {name}.")


@operator.command("password")
@click.argument("name")
def change_password(name: str) -> None:
    """Change an operator's password, which ends all of their sessions."""
    name, password_hash = _accepted(operator_name, name), _accepted(hash_password, _new_password())
    with _database().write() as session:
        found = operators.by_name(session, name)
        if found is None:
            raise click.ClickException(f"There is no operator {name}.")
        operators.set_password(session, found, password_hash)
        audit.record(session, _AT_THE_TERMINAL, "operator.password", name)
    click.echo(f"Changed the password of {name}.")


@operator.command("list")
def list_operators() -> None:
    """Show who may sign in, and when they last did."""
    with _database().read() as session:
        for found in operators.all_operators(session):
            last = found.signed_in_at
            click.echo(f"{found.name}\t{last.isoformat(timespec='minutes') if last else 'never signed in'}")


def _announce(site: str, setup_token: str | None) -> None:
    click.echo(f"Chat:   {site}/")
    if setup_token:
        click.echo(f"Set up: {site}/admin/setup?token={setup_token}")
        click.echo("        (works once: choose the first operator's name and password)")
    else:
        click.echo(f"Admin:  {site}/admin/")
    sys.stdout.flush()


def _reachable(host: str) -> str:
    """An address a browser on this machine can open for what the server listens on."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - compared with, not bound
    return everywhere.get(host, f"[{host}]" if ":" in host else host)


def _database() -> Database:
    return Database(load_settings().resolved_database_url)


def _new_password() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    return sys.stdin.readline().rstrip("\n")


def _accepted(check: Callable[[str], str], text: str) -> str:
    """What the check makes of a text; its refusal becomes the command's sentence."""
    try:
        return check(text)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
