"""The command line: results on stdout, everything else on stderr."""

from __future__ import annotations

import errno
import os
import socket
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webchat.accounts import hash_password, operator_name
from webchat.answering.example_faq import load_into_new_database
from webchat.commands.bench import bench
from webchat.commands.key import key
from webchat.config import CHECKOUT, ONE_WORKER, ConfigurationError, load_settings, unknown_settings
from webchat.engine import weights
from webchat.engine.download import site
from webchat.engine.progress import megabytes
from webchat.engine.variants import file_in_use
from webchat.storage import audit, operators, schema
from webchat.storage.database import Conflict, Database, StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from webchat.config import Settings
    from webchat.storage.database import Session
    from webchat.storage.tables import Operator

_INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended
_BACKLOG = 2048  # connections that may wait until gunicorn takes them; its own default


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


def _version() -> str:
    """From the checkout, which may be newer than what the installation noted down."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


@click.group(cls=Commands)
@click.version_option(_version(), prog_name="webchat")
def main() -> None:
    """Run and look after a webchat installation."""
    os.umask(0o077)  # conversations and password hashes: what is written is for this account alone


main.add_command(key)


@main.group()
def model() -> None:
    """Fetch, show and check the model's weights."""


@model.command()
def fetch() -> None:
    """Download the weights unless they are here; print their path."""
    settings = load_settings()
    if settings.engine_url:
        click.echo(f"The model runs at {site(settings.engine_url)} (WEBCHAT_ENGINE_URL): no weights needed.", err=True)
        return
    click.echo(weights.fetch(settings))


@model.command("list")
def list_() -> None:
    """Show the weights on this machine; the one in use has a star."""
    settings = load_settings()
    try:
        in_use = _file_in_use(settings)
    except weights.ModelMissing:
        in_use = None
    files = weights.stored_files(settings, in_use)
    if not files:
        click.echo("No weights on this machine yet: type `webchat model fetch`.", err=True)
    width = max((len(file.name) for file in files), default=0)
    for file in files:
        star = "*" if file.served else " "
        click.echo(f"{star} {file.name:<{width}}  {megabytes(file.size):>11}  {file.source}")


@model.command()
@click.option("--served", is_flag=True, help="The file the server loads, which may be the tuned one.")
def path(*, served: bool) -> None:
    """Print where the weights are, as downloaded."""
    settings = load_settings()
    click.echo(_file_in_use(settings) if served else weights.served_path(settings))


@model.command(short_help="Check that the weights are whole.")
def verify() -> None:
    """Compare the weights in use, and the download they were made from, with what was once written."""
    settings = load_settings()
    for file in dict.fromkeys((weights.served_path(settings), _file_in_use(settings))):
        click.echo(weights.verify(file))


@model.command(short_help="Find the fastest weights for this machine.")
@click.option("--again", is_flag=True, help="Measure anew although there is a result.")
def tune(*, again: bool) -> None:
    """Make other files of the same model, measure all of them here, and keep the fastest whose answers are as good.

    It takes some minutes, best while nothing else runs. WEBCHAT_MODEL_VARIANT=auto then serves the file it chose.
    """
    from webchat.engine import tuning, tuning_report  # noqa: PLC0415 - loads llama.cpp's libraries and the plotter

    settings = load_settings()
    result = tuning.tune(settings, again=again)
    tuning_report.print_table(result)
    click.echo(f"Plot: {tuning.plot_path(settings)}")
    click.echo(f"Chosen: {result.chosen}" + (f", {result.file}" if result.file else ""))
    if result.file and settings.model_variant != "auto":
        click.echo("Set WEBCHAT_MODEL_VARIANT=auto and restart the server to use it.", err=True)


@main.command()
def serve() -> None:
    """Serve the site with gunicorn on HOST:PORT."""
    from webchat.web.admin.setup import ensure_admin_password, issue_setup_token  # noqa: PLC0415 - brings all of Flask

    settings = load_settings()
    _require_one_worker()
    _require_data_dir(settings)
    _warn(settings)
    database = Database(settings.resolved_database_url)
    if not schema.is_current(database):
        raise click.ClickException("The database is not at this version's tables: type `webchat db upgrade`.")
    listener = _listen(settings.host, settings.port)
    if password := settings.admin_password.get_secret_value():
        ensure_admin_password(database, password)
    token = issue_setup_token(database)  # ends the link before: not while another server may be showing that one
    database.close()
    _announce(f"http://{_reachable(settings.host)}:{settings.port}", token)
    _become_gunicorn(listener)


main.add_command(bench)


@main.group()
def db() -> None:
    """Look after the database."""


@db.command("upgrade", short_help="Bring the database to this version's tables.")
def upgrade() -> None:
    """Bring the database to this version's tables; an SQLite file is copied first."""
    settings = load_settings()
    _require_data_dir(settings)
    database = Database(settings.resolved_database_url)
    changed = schema.upgrade(database, settings.data_dir / "snapshots")
    click.echo("The database was upgraded." if changed else "The database is up to date.")


@main.group()
def faq() -> None:
    """Look after the FAQ."""


@faq.command(short_help="Load the example FAQ into a new database.")
def example() -> None:
    """Load the example FAQ into a new database; one that ever had entries stays as it is."""
    settings = load_settings()
    _require_data_dir(settings)
    loaded = load_into_new_database(Database(settings.resolved_database_url))
    click.echo(f"Loaded {loaded} example entries." if loaded else "The FAQ has been used before; nothing was loaded.")


@main.group()
def operator() -> None:
    """Look after those who may sign in."""


@operator.command("add", short_help="Add an operator.")
@click.argument("name")
def add_operator(name: str) -> None:
    """Add an operator; the password is asked for, or read from standard input."""
    name, password_hash = _accepted(operator_name, name), _accepted(hash_password, _new_password())
    try:
        with _database().write() as session:
            operators.add(session, name, password_hash)
            audit.record(session, audit.AT_THE_TERMINAL, "operator.add", name)
    except Conflict:
        raise click.ClickException(f"There is an operator {name} already.") from None
    click.echo(f"Added {name}.")


@operator.command("password", short_help="Change an operator's password.")
@click.argument("name")
def change_password(name: str) -> None:
    """Change an operator's password, which ends all of their sessions."""
    name, database = _accepted(operator_name, name), _database()
    with database.read() as session:  # before a password is asked for in vain
        _existing(session, name)
    password_hash = _accepted(hash_password, _new_password())
    with database.write() as session:
        found = _existing(session, name)
        operators.set_password(session, found, password_hash)
        audit.record(session, audit.AT_THE_TERMINAL, "operator.password", name)
    click.echo(f"Changed the password of {name}.")


@operator.command("list")
def list_operators() -> None:
    """Show who may sign in, and when they last did."""
    with _database().read() as session:
        for found in operators.all_operators(session):
            last = found.signed_in_at
            click.echo(f"{found.name}\t{last.isoformat(timespec='minutes') if last else 'never signed in'}")


def _require_one_worker() -> None:
    # An empty one is as good as none to us, but not to gunicorn, which reads it as a number.
    if os.environ.pop("WEB_CONCURRENCY", "") not in ("", "1"):
        raise click.ClickException(ONE_WORKER)


def _require_data_dir(settings: Settings) -> None:
    """Make the data directory and try to write there, unless everything that would be written has another place."""
    if settings.database_url and settings.secret_key.get_secret_value():
        return
    folder = settings.data_dir
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        problem = "it is a file" if isinstance(error, FileExistsError) else error.strerror
        raise click.ClickException(
            f"WEBCHAT_DATA_DIR: {folder} cannot be used as the data directory: {problem}."
        ) from None


def _warn(settings: Settings) -> None:
    """Say what does not keep the site from being served, but is hardly meant."""
    for name, meant in unknown_settings().items():
        advice = f"did you mean {meant}?" if meant else "README.md lists them all."
        click.echo(f"Warning: {name} is not a setting; {advice}", err=True)
    if settings.engine_url:
        return
    try:
        weights.served_path(settings)  # whether it is tuned, the server itself says
    except weights.ModelError as error:
        click.echo(f"Warning: AI answers are off; FAQ answers work. {error}", err=True)


def _listen(host: str, port: int) -> socket.socket:
    """Take the port; whoever connects before gunicorn is there waits."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):  # the second: a name that cannot be one
        raise click.ClickException(f"HOST: {host!r} is not an address to listen on; 127.0.0.1 or 0.0.0.0 is.") from None
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)  # `localhost` is both
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # past connections may linger; servers may not
    try:
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise click.ClickException(_why_not(error, host, port)) from None
    return listener


def _why_not(error: OSError, host: str, port: int) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"Port {port} is taken: stop the other program or set PORT to another one."
        case errno.EADDRNOTAVAIL:
            return f"HOST: {host} is not an address of this machine."
        case errno.EACCES:
            return f"Port {port} is not ours to use: set PORT to 1024 or more."
        case _:
            return f"HOST: nothing can listen on {host} at port {port}: {error.strerror}."


def _become_gunicorn(listener: socket.socket) -> None:
    listener.set_inheritable(True)
    gunicorn = Path(sys.executable).with_name("gunicorn")
    configuration, bind = str(CHECKOUT / "gunicorn_conf.py"), f"fd://{listener.fileno()}"
    os.chdir(CHECKOUT)
    os.execv(gunicorn, [str(gunicorn), "-c", configuration, "--bind", bind])  # noqa: S606 - our own program, no shell


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


def _file_in_use(settings: Settings) -> Path:
    return file_in_use(settings, lambda sentence: click.echo(f"Warning: {sentence}", err=True))


def _database() -> Database:
    return Database(load_settings().resolved_database_url)


def _existing(session: Session, name: str) -> Operator:
    found = operators.by_name(session, name)
    if found is None:
        raise click.ClickException(f"There is no operator {name}.")
    return found


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
