"""Every test that takes `database` runs on SQLite and on PostgreSQL, each time on one without rows.

PostgreSQL is started from the server binaries of this machine, on a socket in a temporary folder.
"""

import os
import shutil
import subprocess
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text

from webchat.storage import conversations, schema
from webchat.storage.database import Database
from webchat.storage.tables import Base, Setting

PATIENCE = 20.0  # generous: the machine that runs the tests may be busy
SERVER_ACCOUNTS = (
    "postgres",
    "nobody",
)  # the server refuses to run as root; one of these is on every machine


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL."""

    folder: Path

    def url(self, name):
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"

    def run(self, statement):
        psycopg = pytest.importorskip("psycopg")
        with closing(psycopg.connect(host=str(self.folder), user="postgres", autocommit=True)) as connection:
            connection.execute(statement)


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server whose database `migrated` has the tables."""
    binaries = _server_binaries()
    if binaries is None:
        # `make test` installs them where it can; elsewhere it says which checks are left out.
        pytest.skip("no PostgreSQL server binaries on this machine")
    folder = Path(tempfile.mkdtemp(prefix="webchat-pg-"))  # not tmp_path: a socket's path must be short
    account = _server_account(folder)

    def server_command(name, *arguments):
        command = [binaries / name, "-D", folder / "data", *arguments]
        subprocess.run(command, check=True, user=account, cwd=folder, stdout=subprocess.DEVNULL, timeout=60)

    try:
        server_command("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
        options = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c max_connections=60"
        server_command("pg_ctl", "start", "-w", "-l", folder / "log", "-o", options)
        try:
            server = Server(folder)
            server.run("CREATE DATABASE migrated")
            with closing(Database(server.url("migrated"))) as database:
                schema.upgrade(database, folder)
            yield server
        finally:
            server_command("pg_ctl", "stop", "-w", "-m", "fast")
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory):
    """An SQLite file with the tables."""
    folder = tmp_path_factory.mktemp("migrated")
    file = folder / "webchat.db"
    with closing(Database(f"sqlite:///{file}")) as database:
        schema.upgrade(database, folder / "snapshots")
    return file


@pytest.fixture
def sqlite_database(migrated_file, tmp_path):
    """An SQLite database without rows."""
    file = tmp_path / "webchat.db"
    shutil.copyfile(migrated_file, file)
    with closing(Database(f"sqlite:///{file}", PATIENCE)) as database:
        yield database


@pytest.fixture
def postgres_database(postgres):
    """A PostgreSQL database without rows; the same one each time, emptied, because making one takes long."""
    with closing(Database(postgres.url("migrated"), PATIENCE)) as database:
        with database.write() as session:
            session.execute(text(f"TRUNCATE {', '.join(Base.metadata.tables)} RESTART IDENTITY"))
            session.add_all(Setting(key=key, value=0) for key in ("faq_version", "rules_version", "inbox_seen"))
        yield database


@pytest.fixture
def empty_file(tmp_path):
    """An SQLite database without tables."""
    with closing(Database(f"sqlite:///{tmp_path / 'empty.db'}", PATIENCE)) as database:
        yield database


@pytest.fixture
def empty_postgres(postgres):
    """A PostgreSQL database without tables."""
    postgres.run("CREATE DATABASE empty")
    with closing(Database(postgres.url("empty"), PATIENCE)) as database:
        yield database
    postgres.run("DROP DATABASE empty WITH (FORCE)")


BOTH = ("sqlite", pytest.param("postgres", marks=pytest.mark.postgres))


@pytest.fixture(params=BOTH)
def database(request):
    """A database with the tables and without rows."""
    return request.getfixturevalue(f"{request.param}_database")


@pytest.fixture(params=BOTH)
def empty_database(request):
    """A database without tables."""
    return request.getfixturevalue("empty_file" if request.param == "sqlite" else "empty_postgres")


@pytest.fixture
def upgraded_database(empty_database, tmp_path):
    """A database of its own, for tests that change its tables."""
    schema.upgrade(empty_database, tmp_path / "snapshots")
    return empty_database


@pytest.fixture
def conversation(database):
    """A conversation that the visitor Alice opened on the page."""
    with database.write() as session:
        return conversations.open_conversation(
            session, visitor_id="alice", channel="page", language="zh", title="你好", client_id="c0"
        )


def _server_binaries():
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if on_path := shutil.which("initdb"):
        folders.append(Path(on_path).resolve().parent)
    return max(folders, default=None)


def _server_account(folder):
    """Give the folder to an account that may run the server; ours, unless we are root."""
    if os.geteuid() != 0:
        return None
    for account in SERVER_ACCOUNTS:
        try:
            shutil.chown(folder, account)
        except LookupError:
            continue
        return account
    # None of the usual ones either: an image stripped down to root.
    pytest.skip("PostgreSQL does not run as root, and there is no other account")
