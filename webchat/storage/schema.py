"""Brings a database to this version's tables, with a snapshot of an SQLite file before anything changes."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect, text

from webchat.config import CHECKOUT
from webchat.storage.database import Database, StorageUnavailable
from webchat.storage.tables import Base

if TYPE_CHECKING:
    from pathlib import Path

_SNAPSHOTS_KEPT = 5
_MIGRATION_LOCK = 0x77656263686174  # any number that other programs in the same PostgreSQL do not use: "webchat"


@cache
def head() -> str:
    """The revision of this version's tables."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def is_current(database: Database) -> bool:
    """Whether the database has this version's tables.

    Raises:
        StorageUnavailable: the database cannot be read.
    """
    return _revision(database) == head()


def upgrade(database: Database, snapshot_dir: Path) -> bool:
    """Bring the database to this version's tables; several processes may try at once.

    Args:
        database: a new one or one of ours.
        snapshot_dir: where an SQLite file is copied before it changes; the last five copies are kept.

    Returns:
        Whether there was anything to do.

    Raises:
        StorageUnavailable: the database cannot be written, is a newer version's, or another program's; it is
            left as it was.
    """
    revision = _revision(database)
    if revision == head():
        return False
    if revision is not None:
        _refuse_newer(revision)
        _snapshot(database, snapshot_dir, revision)
    with database.migration() as connection:
        _migrate(connection)
    return True


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # SQLite's write lock is held already
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
    if _revision_of(connection) is None:
        _refuse_foreign_tables(connection)
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    if connection.dialect.name == "sqlite":
        _refuse_orphans(connection)


def _config() -> Config:
    return Config(toml_file=CHECKOUT / "pyproject.toml")


def _revision(database: Database) -> str | None:
    with database.read() as session:
        return _revision_of(session.connection())


def _revision_of(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _refuse_foreign_tables(connection: Connection) -> None:
    taken = Base.metadata.tables.keys() & set(inspect(connection).get_table_names())
    if taken:
        names = ", ".join(sorted(taken))
        raise StorageUnavailable(f"The database belongs to another program: it has tables named {names}.")


def _refuse_orphans(connection: Connection) -> None:
    """Foreign keys are not enforced while SQLite migrates, so they are looked over at the end."""
    if orphans := connection.execute(text("PRAGMA foreign_key_check")).all():
        raise StorageUnavailable(
            f"The migration would leave {len(orphans)} rows that refer to nothing; nothing was changed."
        )


def _refuse_newer(revision: str) -> None:
    try:
        ScriptDirectory.from_config(_config()).get_revision(revision)
    except CommandError as error:
        raise StorageUnavailable(
            f"The database is at revision {revision}, which this version does not know."
        ) from error


def _snapshot(database: Database, directory: Path, revision: str) -> None:
    if not database.is_sqlite:
        return
    snapshot = directory / f"webchat-{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}-at-{revision}.db"
    unfinished = snapshot.with_suffix(".part")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            database.copy_to(unfinished)
            unfinished.rename(snapshot)
        finally:
            unfinished.unlink(missing_ok=True)
        for old in sorted(directory.glob("webchat-*.db"))[:-_SNAPSHOTS_KEPT]:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise StorageUnavailable(f"No snapshot can be kept in {directory}: {error.strerror}.") from error
