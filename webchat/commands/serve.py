"""``webchat serve``: look for what would keep the site from working, take the port, become gunicorn."""

from __future__ import annotations

import errno
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from webchat.commands.inputs import require_data_dir
from webchat.config import CHECKOUT, ONE_WORKER, load_settings, unknown_settings
from webchat.engine.files import ModelError
from webchat.engine.weights import served_path
from webchat.storage import schema
from webchat.storage.database import Database
from webchat.storage.first_operator import ensure_admin_password, issue_setup_token

if TYPE_CHECKING:
    from webchat.config import Settings

_BACKLOG = 2048  # connections that may wait until gunicorn takes them; its own default


@click.command()
def serve() -> None:
    """Serve the site with gunicorn on HOST:PORT."""
    settings = load_settings()
    _require_one_worker()
    require_data_dir(settings)
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


def _require_one_worker() -> None:
    # An empty one is as good as none to us, but not to gunicorn, which reads it as a number.
    if os.environ.pop("WEB_CONCURRENCY", "") not in ("", "1"):
        raise click.ClickException(ONE_WORKER)


def _warn(settings: Settings) -> None:
    """Say what does not keep the site from being served, but is hardly meant."""
    for name, meant in unknown_settings().items():
        advice = f"did you mean {meant}?" if meant else "README.md lists them all."
        click.echo(f"Warning: {name} is not a setting; {advice}", err=True)
    if settings.engine_url:
        return
    try:
        served_path(settings)  # whether it is tuned, the server itself says
    except ModelError as error:
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
