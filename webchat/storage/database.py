"""The door to the rows: opens the database, hands out sessions, turns the drivers' errors into sentences.

On SQLite a write starts with ``BEGIN IMMEDIATE``, behind one lock per process. The driver's default, to read
first and ask for the write lock later, loses updates in silence when many threads write; and threads that
queue on our lock wait a tenth of what they wait when they poll SQLite's.
"""

from __future__ import annotations

import json
import math
import os
import sqlite3
import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    DisconnectionError,
    IntegrityError,
    OperationalError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.orm.exc import StaleDataError

from webchat.config import ConfigurationError, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy import URL, Connection, CursorResult, Delete, Engine, Update
    from sqlalchemy.pool import ConnectionPoolEntry

__all__ = ["Conflict", "Database", "Session", "StorageUnavailable"]

# How each kind of transaction begins. A read session cannot write, on either database: a write made there by
# mistake would be rolled back at the end of the block, and nobody would notice.
_READ = {"sqlite_begin": ("PRAGMA query_only=ON", "BEGIN"), "postgresql_readonly": True}
_WRITE = {"sqlite_begin": ("PRAGMA query_only=OFF", "BEGIN IMMEDIATE")}
# SQLite changes a table by building it anew and dropping the old one: foreign keys would make that cascade.
_MIGRATION = {"sqlite_begin": ("PRAGMA query_only=OFF", "PRAGMA foreign_keys=OFF", "BEGIN IMMEDIATE")}
_AUTOCOMMIT = {"sqlite_begin": ("PRAGMA query_only=OFF",)}

# SQLite's error names and PostgreSQL's SQLSTATE codes, by how they begin; the first that fits is taken.
_UNAVAILABLE = {
    "SQLITE_BUSY": "The database stayed locked by another process for too long.",
    "SQLITE_LOCKED": "The database stayed locked by another process for too long.",
    "SQLITE_READONLY": "The database is read-only.",
    "SQLITE_FULL": "The disk that holds the database is full.",
    "SQLITE_IOERR": "The disk that holds the database reports an error.",
    "SQLITE_CANTOPEN": "The database file cannot be opened; its folder must exist and be ours to write.",
    "SQLITE_CORRUPT": "The database file is damaged; restore a backup.",
    "SQLITE_NOTADB": "The database file is not an SQLite database.",
    "08": "The connection to the database was lost.",
    "25006": "The database is read-only.",
    "28": "The database server refuses our name or password.",
    "3D": "The database server has no database of this name.",
    "40": "Two transactions waited for each other, and the database ended this one.",
    "42P01": "The database has no tables yet; run `webchat db upgrade`.",
    "53100": "The disk that holds the database is full.",
    "53": "The database server has no connection or memory left.",
    "55P03": "The database stayed locked by another process for too long.",
    "57": "The database server is starting or stopping.",
    "58": "The disk that holds the database reports an error.",
}
_TAKEN = ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "23505")
_GONE = ("SQLITE_CONSTRAINT_FOREIGNKEY", "23503")
_TOO_LONG_FOR_AN_INDEX = "54"

_HOW_TO_WRITE_IT = "write sqlite:////folder/webchat.db or postgresql+psycopg://name:password@host/database."


class StorageUnavailable(Refusal):  # named for the state, as 503 is
    """The database cannot serve now; the message says why in a sentence, ``__cause__`` is the driver's."""


class Conflict(Exception):  # noqa: N818  # named for the state, as 409 is
    """Someone else was faster: the value is taken, or the row this one belongs to is gone."""


class Database:
    """One database, SQLite or PostgreSQL, shared by all threads of a process."""

    def __init__(self, url: str, patience: float = 10.0) -> None:
        """Prepare connections; nothing is opened yet.

        Args:
            url: SQLAlchemy URL of an SQLite file or of a PostgreSQL database.
            patience: seconds to wait for a lock, or for a free connection, before giving up.

        Raises:
            ConfigurationError: the URL cannot be used.
        """
        self._engine = _engine(url, patience)
        self.is_sqlite = self._engine.dialect.name == "sqlite"
        self._readers = sessionmaker(self._engine.execution_options(**_READ), expire_on_commit=False)
        self._writers = sessionmaker(self._engine.execution_options(**_WRITE), expire_on_commit=False)
        self._one_writer = threading.Lock()
        self._patience = patience

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Open a session that cannot change the database; rows outlive the block.

        Raises:
            StorageUnavailable: the database cannot be read now.
        """
        with _plain_errors(), self._readers() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Open a session that commits at the block's end, or rolls back if it raises; rows outlive the block.

        Do not open one inside another: on SQLite the second waits for the first.

        Raises:
            StorageUnavailable: the database cannot be written now.
            Conflict: a unique value is taken, or a row this one refers to is gone; nothing was changed.
            ValueError: a text holds a NUL or half a character, or is too long for its index.
        """
        with _plain_errors(), self._turn_to_write(), self._writers.begin() as session:
            yield session

    @contextmanager
    def migration(self) -> Iterator[Connection]:
        """Open the one transaction in which a migration runs (foreign keys are not enforced on SQLite)."""
        migrators = self._engine.execution_options(**_MIGRATION)
        with _plain_errors(), self._turn_to_write(), migrators.begin() as connection:
            if self.is_sqlite:
                connection.detach()  # nobody else gets a connection that enforces no foreign keys
            yield connection

    def copy_to(self, path: Path) -> None:
        """Write a consistent copy of an SQLite database to a new file, while others read and write."""
        with _plain_errors(), self._engine.execution_options(**_AUTOCOMMIT).connect() as connection:
            connection.exec_driver_sql("VACUUM INTO ?", (str(path),))

    def ping(self) -> None:
        """Read one row of our own, as a readiness check.

        Raises:
            StorageUnavailable: the database cannot be read, or has no tables yet.
        """
        with self.read() as session:
            session.execute(text("SELECT 1 FROM settings LIMIT 1"))

    def close(self) -> None:
        """Close idle connections; the database may still be used, and connects again."""
        self._engine.dispose()

    @contextmanager
    def _turn_to_write(self) -> Iterator[None]:
        if not self.is_sqlite:
            yield
            return
        if not self._one_writer.acquire(timeout=self._patience):
            raise StorageUnavailable("Another thread kept the database locked for too long.")
        try:
            yield
        finally:
            self._one_writer.release()


def affected_rows(session: Session, statement: Update | Delete) -> int:
    """Run an UPDATE or DELETE and say how many rows it met."""
    return cast("CursorResult[Any]", session.execute(statement)).rowcount


def _engine(url: str, patience: float) -> Engine:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # the second is a port that is no number
        # The URL may hold a password, so neither it nor the error is shown.
        raise ConfigurationError(f"WEBCHAT_DATABASE_URL is not a database URL; {_HOW_TO_WRITE_IT}") from None
    match parsed.get_backend_name():
        case "sqlite":
            return _sqlite(parsed, patience)
        case "postgresql" | "postgres":
            return _postgresql(parsed.set(drivername="postgresql+psycopg"), patience)
        case other:
            raise ConfigurationError(
                f"WEBCHAT_DATABASE_URL names {other!r}, which is not supported; {_HOW_TO_WRITE_IT}"
            )


_create_engine = partial(
    create_engine,
    hide_parameters=True,  # what visitors write does not belong in logs, where an error's text ends up
    json_serializer=partial(json.dumps, ensure_ascii=False, allow_nan=False),
)


def _sqlite(url: URL, patience: float) -> Engine:
    if url.database in (None, "", ":memory:") or url.query.get("mode") == "memory":
        raise ConfigurationError("WEBCHAT_DATABASE_URL must name a file: a database in memory forgets everything.")
    # To connect takes ten times as long as a small query. And with its last connection SQLite puts its log away and
    # flushes the disk, which would make a write take 20 ms instead of 2. Many threads at once must not wait in a line.
    engine = _create_engine(url, pool_use_lifo=True, max_overflow=-1, connect_args={"timeout": patience})

    @event.listens_for(engine, "connect")
    def prepare(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # the driver begins no transaction by itself: `begin` below does
        with suppress(sqlite3.OperationalError):  # a read-only file stays in the mode it has
            connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA foreign_keys=ON")
        record.info["file"] = _file(url)

    @event.listens_for(engine, "checkout")
    def look(_connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        if record.info["file"] != _file(url):
            raise DisconnectionError("another file is there, or none")  # the pool connects anew

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        for statement in connection.get_execution_options()["sqlite_begin"]:
            connection.exec_driver_sql(statement)

    return engine


def _file(url: URL) -> tuple[int, int] | None:
    """Which file the database is: one that was removed or put in its place must not be served any longer."""
    try:
        found = os.stat(str(url.database))  # noqa: PTH116 - a few microseconds of every transaction
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _postgresql(url: URL, patience: float) -> Engine:
    try:
        engine = _create_engine(
            url,
            pool_pre_ping=True,
            pool_timeout=patience,
            connect_args={"connect_timeout": math.ceil(patience)},  # the driver's own patience is two minutes
        )
    except ImportError:
        raise ConfigurationError(
            "WEBCHAT_DATABASE_URL names PostgreSQL, whose driver is missing: "
            "type `.venv/bin/pip install -c constraints.txt -e '.[postgres]'`."
        ) from None

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.execute(f"SET lock_timeout = {round(patience * 1000)}")
        connection.commit()

    return engine


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        plain = _plain(error)
        if plain is None:  # a mistake in our own code: its traceback is the message
            raise
        raise plain from error


def _plain(error: SQLAlchemyError) -> Exception | None:
    if isinstance(error, PoolTimeoutError):
        return StorageUnavailable("All connections to the database stayed in use for too long.")
    if isinstance(error, StaleDataError):
        return Conflict("The row was changed or removed at the same moment.")
    if isinstance(error, DBAPIError):
        return _plain_driver_error(error)
    if isinstance(error, StatementError) and isinstance(error.orig, ValueError):  # refused by a column's own type
        return ValueError(str(error.orig))
    return None


def _plain_driver_error(error: DBAPIError) -> Exception | None:
    code = _code(error)
    if isinstance(error, IntegrityError):
        if code in _TAKEN:
            return Conflict("A row with this value exists already.")
        return Conflict("A row that this one belongs to is gone.") if code in _GONE else None
    if isinstance(error, DataError) or code.startswith(_TOO_LONG_FOR_AN_INDEX):
        return ValueError("The text is too long, or holds something the database cannot store.")
    for beginning, sentence in _UNAVAILABLE.items():
        if code.startswith(beginning):
            return StorageUnavailable(sentence)
    if isinstance(error, OperationalError) and not code:  # no server answered, so there is no code
        return StorageUnavailable("The database server cannot be reached.")
    return None


def _code(error: DBAPIError) -> str:
    if "no such table" in str(error.orig):  # SQLite has no code of its own for this
        return "42P01"
    return getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None) or ""
