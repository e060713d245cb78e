"""The command line: results on stdout, everything else on stderr."""

from __future__ import annotations

import os
import pkgutil
import tomllib
from collections import UserDict
from typing import Any

import click

from webchat.config import CHECKOUT, Refusal

_INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended


class OnDemand(UserDict[str, Any]):
    """Commands by name, imported when they are asked for: all of them take most of a second."""

    def __getitem__(self, name: str) -> click.Command:
        """Find a command where its ``module:attribute`` says."""
        command: click.Command = pkgutil.resolve_name(super().__getitem__(name))
        return command


class Commands(click.Group):
    """A group whose commands fail with one sentence and exit status 1, never with a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; what it raises for people becomes their sentence."""
        try:
            return super().invoke(ctx)
        except Refusal as error:
            raise click.ClickException(str(error)) from error
        except KeyboardInterrupt:
            click.echo("Stopped.", err=True)
            ctx.exit(_INTERRUPTED)


def _version() -> str:
    """From the checkout, which may be newer than what the installation noted down."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


_COMMANDS = OnDemand(
    {
        "bench": "webchat.commands.bench:bench",
        "db": "webchat.commands.db:db",
        "faq": "webchat.commands.faq:faq",
        "key": "webchat.commands.key:key",
        "model": "webchat.commands.model:model",
        "operator": "webchat.commands.operator:operator",
        "serve": "webchat.commands.serve:serve",
    }
)


@click.group(cls=Commands, commands=_COMMANDS)
@click.version_option(_version(), prog_name="webchat")
def main() -> None:
    """Run and look after a webchat installation."""
    os.umask(0o077)  # conversations and password hashes: what is written is for this account alone


if __name__ == "__main__":
    main()
