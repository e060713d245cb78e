"""Migrations: from nothing, without drift, safe to repeat, with a snapshot before each."""

import logging
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from webchat.storage import faq, schema, settings
from webchat.storage.database import Database, StorageUnavailable
from webchat.storage.tables import Base


def test_upgrade_makes_every_table_of_an_empty_database(empty_database, tmp_path):
    assert not schema.is_current(empty_database)

    assert schema.upgrade(empty_database, tmp_path / "snapshots")

    assert schema.is_current(empty_database)
    with empty_database.read() as session:
        names = set(inspect(session.connection()).get_table_names())
        assert names == {*Base.metadata.tables, "alembic_version"}
        assert faq.version(session) == 0
    assert not (tmp_path / "snapshots").exists()


def test_a_second_upgrade_has_nothing_to_do(upgraded_database, tmp_path):
    assert not schema.upgrade(upgraded_database, tmp_path / "snapshots")
    assert not (tmp_path / "snapshots").exists()


def test_tables_and_migrations_do_not_drift(database):
    with database.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_checks_and_id_rules_do_not_drift(upgraded_database):
    """What Alembic's comparison leaves out: CHECK constraints, deletion rules, AUTOINCREMENT."""
    with upgraded_database.migration() as connection:
        migrated = _finer_points(connection)
        Base.metadata.drop_all(connection)
        Base.metadata.create_all(connection)
        assert _finer_points(connection) == migrated


def _finer_points(connection):
    inspector = inspect(connection)
    points = {}
    for name in Base.metadata.tables:
        points[name] = (
            [(check["name"], check["sqltext"]) for check in inspector.get_check_constraints(name)],
            sorted((key["name"], key["options"]["ondelete"]) for key in inspector.get_foreign_keys(name)),
            sorted((index["name"], _options(index)) for index in inspector.get_indexes(name)),
        )
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'"))
        points["autoincrement"] = sorted(rows.scalars())
    return points


def _options(index):
    return sorted((name, str(value)) for name, value in index.get("dialect_options", {}).items())


def test_several_processes_may_upgrade_at_once(empty_database, tmp_path):
    url = empty_database._engine.url.render_as_string(hide_password=False)

    def start(_process):
        with closing(Database(url)) as own:
            schema.upgrade(own, tmp_path)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(start, range(4)))
    assert schema.is_current(empty_database)


def test_upgrade_does_not_depend_on_the_current_directory(empty_file, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    assert schema.upgrade(empty_file, tmp_path)


def test_upgrade_leaves_logging_alone(empty_file, tmp_path):
    root = logging.getLogger()
    before = (list(root.handlers), root.level, logging.getLogger("webchat").disabled)
    schema.upgrade(empty_file, tmp_path)
    assert (list(root.handlers), root.level, logging.getLogger("webchat").disabled) == before


@pytest.fixture
def old_database(sqlite_database, monkeypatch):
    """A database at an older revision than this version's: there is one more that it has yet to become."""
    monkeypatch.setattr(schema, "head", lambda: "9999")
    return sqlite_database


def test_a_snapshot_is_made_before_an_existing_file_changes(old_database, tmp_path):
    with old_database.write() as session:
        settings.put(session, "greeting", "您好")

    assert schema.upgrade(old_database, tmp_path / "snapshots")

    (snapshot,) = (tmp_path / "snapshots").iterdir()
    assert snapshot.name.endswith(f"-at-{schema._revision(old_database)}.db")
    with sqlite3.connect(snapshot) as copy:
        assert copy.execute("SELECT value FROM settings WHERE key = 'greeting'").fetchone() == ('"您好"',)
    copy.close()


def test_only_the_last_five_snapshots_are_kept(old_database, tmp_path):
    others = tmp_path / "notes.txt"
    others.write_text("not a snapshot")
    for _ in range(7):
        schema.upgrade(old_database, tmp_path)
    snapshots = sorted(tmp_path.glob("webchat-*.db"))
    assert len(snapshots) == 5
    assert others.exists()


def test_a_snapshot_that_fails_stops_the_upgrade_and_leaves_no_half_file(old_database, tmp_path, monkeypatch):
    def full_disk(path):
        path.write_bytes(b"half")
        raise StorageUnavailable("The disk that holds the database is full.")

    monkeypatch.setattr(old_database, "copy_to", full_disk)
    with pytest.raises(StorageUnavailable, match="full"):
        schema.upgrade(old_database, tmp_path / "snapshots")
    assert list((tmp_path / "snapshots").iterdir()) == []


def test_a_folder_that_cannot_take_a_snapshot_stops_the_upgrade_with_a_sentence(old_database, tmp_path):
    (tmp_path / "snapshots").write_text("a file stands where the folder should be")
    with pytest.raises(StorageUnavailable, match=r"No snapshot can be kept in .*/snapshots: File exists\."):
        schema.upgrade(old_database, tmp_path / "snapshots")


def test_a_newer_database_is_refused_in_a_sentence(upgraded_database, tmp_path):
    with upgraded_database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert not schema.is_current(upgraded_database)
    with pytest.raises(StorageUnavailable, match="revision 9999, which this version does not know"):
        schema.upgrade(upgraded_database, tmp_path)


def test_another_programs_tables_are_left_alone(empty_database, tmp_path):
    with empty_database.write() as session:
        session.execute(text("CREATE TABLE messages (id INTEGER)"))
        session.execute(text("CREATE TABLE spatial_ref_sys (id INTEGER)"))
    with pytest.raises(StorageUnavailable, match="another program: it has tables named messages"):
        schema.upgrade(empty_database, tmp_path)
    with empty_database.read() as session:
        assert len(inspect(session.connection()).get_table_names()) == 2


def test_a_migration_that_would_leave_orphans_changes_nothing(old_database, tmp_path, monkeypatch):
    def migrate_badly(config, _revision):
        config.attributes["connection"].execute(
            text("INSERT INTO faq_phrasings (entry_id, position, text) VALUES (42, 0, 'orphan')")
        )

    monkeypatch.setattr(schema.command, "upgrade", migrate_badly)
    with pytest.raises(StorageUnavailable, match="1 rows that refer to nothing"):
        schema.upgrade(old_database, tmp_path)
    with old_database.read() as session:
        assert session.scalar(text("SELECT count(*) FROM faq_phrasings")) == 0
