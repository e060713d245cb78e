"""What commands work on: words that are typed, and the database and data directory that the settings name."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING

import click

from webchat.config import load_settings
from webchat.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable

    from webchat.config import Settings


def accepted(check: Callable[[str], str], text: str) -> str:
    """What the check makes of a text; its refusal becomes the command's sentence.

    Raises:
        ClickException: the check raised ``ValueError``.
    """
    try:
        return check(text)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def configured_database() -> Database:
    """The database of the settings.

    Raises:
        ConfigurationError: the settings cannot be used.
    """
    return Database(load_settings().resolved_database_url)


def require_data_dir(settings: Settings) -> None:
    """Make the data directory and try to write there, unless everything that would be written has another place.

    Raises:
        ClickException: nothing can be written there.
    """
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
