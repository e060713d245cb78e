"""The door: transactions, locks, and the sentences that drivers' errors become."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from webchat.config import ConfigurationError
from webchat.storage import conversations, faq, messages, operators, settings
from webchat.storage.database import Conflict, Database, StorageUnavailable
from webchat.storage.tables import Message

DEADLINE = 20


def test_a_write_is_there_afterwards_and_its_rows_can_still_be_read(database):
    with database.write() as session:
        entry = faq.create(session, phrasings=["几天到货？"], answer="三天。")
    assert (entry.question, entry.answer, entry.hits) == ("几天到货？", "三天。", 0)
    with database.read() as session:
        found = faq.get(session, entry.id)
    assert found.question == "几天到货？"


def test_a_write_that_raises_changes_nothing(database):
    def put_and_fail():
        with database.write() as session:
            settings.put(session, "key", 1)
            raise UndoneError

    with pytest.raises(UndoneError):
        put_and_fail()
    with database.read() as session:
        assert settings.get(session, "key") is None


def test_a_read_session_cannot_write(database):
    with pytest.raises(StorageUnavailable, match="read-only"), database.read() as session:
        settings.put(session, "key", 1)
    with database.write() as session:  # the connection it used writes again
        settings.put(session, "key", 2)


def test_a_read_sees_one_state_while_others_write(sqlite_database):
    with sqlite_database.read() as reader:
        assert settings.get(reader, "key") is None
        with sqlite_database.write() as writer:
            settings.put(writer, "key", 1)
        assert reader.scalar(text("SELECT count(*) FROM settings WHERE key = 'key'")) == 0


def test_many_threads_lose_no_update(database):
    entry_id = add_entry(database)

    def hit(_thread):
        for _ in range(30):
            with database.write() as session:
                faq.count_hit(session, entry_id)

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(hit, range(24)))
    with database.read() as session:
        assert faq.get(session, entry_id).hits == 24 * 30


def test_processes_that_read_before_they_write_lose_no_update(database):
    with database.write() as session:
        entries = [faq.create(session, phrasings=[f"q{n}"], answer="a").id for n in range(24)]
    processes = [Database(url_of(database)) for _ in range(3)]

    def change(entry_id):
        for turn in range(10):
            with processes[entry_id % 3].write() as session:
                faq.set_status(session, faq.get(session, entry_id), "disabled" if turn % 2 == 0 else "published")

    with ThreadPoolExecutor(24) as pool:
        list(pool.map(change, entries))
    for process in processes:
        process.close()
    with database.read() as session:
        assert faq.version(session) == 24 + 24 * 10


def test_sqlite_is_set_up_for_many_readers_and_one_writer(sqlite_database):
    with sqlite_database.write() as session:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        assert [session.scalar(text(f"PRAGMA {name}")) for name in pragmas] == ["wal", 1, 1, 20_000]


def url_of(database):
    return database._engine.url.render_as_string(hide_password=False)


@contextmanager
def another_writer(url, statement):
    """Another process, as far as locks can tell: it holds its write open for the length of the block."""
    with closing(Database(url)) as other, suppress(UndoneError), other.write() as session:
        session.execute(text(statement))
        yield
        raise UndoneError


class UndoneError(Exception):
    """Rolls a write back."""


@pytest.fixture
def impatient(database):
    with closing(Database(url_of(database), patience=0.1)) as impatient:
        yield impatient


def test_a_lock_held_too_long_is_a_sentence(database, impatient):
    touch_version = "UPDATE settings SET value = '7' WHERE key = 'faq_version'"
    with another_writer(url_of(database), touch_version):
        with pytest.raises(StorageUnavailable, match="locked by another process") as refused:
            add_entry(impatient)
        with impatient.read() as session:
            assert faq.version(session) == 0
    assert isinstance(refused.value.__cause__, SQLAlchemyError)
    add_entry(impatient)  # and it serves again


def add_entry(database):
    with database.write() as session:
        return faq.create(session, phrasings=["q"], answer="a").id


def test_a_thread_that_keeps_the_lock_is_a_sentence(sqlite_database, impatient_sqlite):
    entered, leave = threading.Event(), threading.Event()

    def linger():
        with impatient_sqlite.write():
            entered.set()
            leave.wait(DEADLINE)

    thread = threading.Thread(target=linger)
    thread.start()
    try:
        assert entered.wait(DEADLINE)
        with pytest.raises(StorageUnavailable, match="Another thread"), impatient_sqlite.write():
            pass
    finally:
        leave.set()
        thread.join(DEADLINE)


@pytest.fixture
def impatient_sqlite(sqlite_database):
    with closing(Database(url_of(sqlite_database), patience=0.05)) as impatient:
        yield impatient


@pytest.mark.postgres
def test_a_pool_in_use_for_too_long_is_a_sentence(postgres_database, postgres):
    with (
        closing(Database(postgres.url("migrated"), patience=0.05)) as small,
        pytest.raises(StorageUnavailable, match="stayed in use"),
    ):
        _open_reads(small, 100)


def _open_reads(database, count):
    if count:
        with database.read() as session:
            session.execute(text("SELECT 1"))
            _open_reads(database, count - 1)


@pytest.mark.postgres
def test_a_lost_connection_is_a_sentence_and_the_next_one_works(postgres_database, postgres):
    def read_while_the_server_hangs_up():
        with postgres_database.read() as session:
            pid = session.scalar(text("SELECT pg_backend_pid()"))
            postgres.run(f"SELECT pg_terminate_backend({pid}, 5000)")
            session.execute(text("SELECT 1"))

    with pytest.raises(StorageUnavailable):
        read_while_the_server_hangs_up()
    postgres_database.ping()


@pytest.mark.postgres
@pytest.mark.parametrize("url", ["postgresql://postgres@/nobody-made-this?host={}", "postgres://x@/x?host={}/none"])
def test_a_server_that_is_not_there_is_a_sentence(postgres, url):
    with pytest.raises(StorageUnavailable, match="database server"):
        Database(url.format(postgres.folder)).ping()


def test_a_server_that_never_answers_is_a_sentence():
    pytest.importorskip("psycopg")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        database = Database(f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/x", patience=0.1)
        with pytest.raises(StorageUnavailable, match="cannot be reached"):
            database.ping()


def test_a_missing_folder_is_a_sentence(tmp_path):
    database = Database(f"sqlite:///{tmp_path}/none/webchat.db")
    with pytest.raises(StorageUnavailable, match="cannot be opened"):
        database.ping()


def test_a_file_of_something_else_is_a_sentence(tmp_path):
    file = tmp_path / "photo.db"
    file.write_bytes(b"\xff\xd8" * 4096)
    with pytest.raises(StorageUnavailable, match="not an SQLite database"):
        Database(f"sqlite:///{file}").ping()


def test_a_database_without_tables_is_a_sentence(empty_database):
    with pytest.raises(StorageUnavailable, match="webchat db upgrade"):
        empty_database.ping()


def test_a_full_disk_is_a_sentence_and_nothing_is_half_written(sqlite_database):
    def fill(session):
        session.execute(text("PRAGMA max_page_count = 1"))  # SQLite then behaves as on a full disk
        settings.put(session, "key", "x" * 1_000_000)

    with pytest.raises(StorageUnavailable, match="full"), sqlite_database.write() as session:
        fill(session)
    with sqlite_database.read() as session:
        assert settings.get(session, "key") is None


@pytest.fixture
def read_only(sqlite_database, tmp_path):
    with sqlite_database.write() as session:
        settings.put(session, "key", "kept")
    with closing(Database(f"sqlite:///file:{tmp_path}/webchat.db?mode=ro&uri=true", 0.1)) as database:
        yield database


def test_a_read_only_file_can_be_read(read_only):
    read_only.ping()
    with read_only.read() as session:
        assert settings.get(session, "key") == "kept"


def test_a_read_only_file_that_was_never_in_wal_mode_can_be_read(sqlite_database, tmp_path):
    sqlite_database.copy_to(tmp_path / "copy.db")
    Database(f"sqlite:///file:{tmp_path}/copy.db?mode=ro&uri=true").ping()


def test_writing_a_read_only_file_is_a_sentence(read_only):
    with pytest.raises(StorageUnavailable, match="read-only"), read_only.write() as session:
        settings.put(session, "key", "lost")


@pytest.mark.postgres
def test_writing_a_read_only_server_is_a_sentence(empty_postgres, postgres):
    postgres.run("ALTER DATABASE empty SET default_transaction_read_only = on")
    with pytest.raises(StorageUnavailable, match="read-only"), empty_postgres.write() as session:
        session.execute(text("CREATE TABLE lost (id INTEGER)"))


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", "not a database URL"),
        ("webchat.db", "not a database URL"),
        ("postgresql://name:secret@host:port/db", "not a database URL"),
        ("mysql://root:secret@host/db", "names 'mysql'"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        ("sqlite:///file:x?mode=memory&uri=true", "must name a file"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url, sentence):
    with pytest.raises(ConfigurationError, match=sentence) as refused:
        Database(url)
    assert "secret" not in str(refused.value)


def test_a_taken_value_is_a_conflict(database):
    with database.write() as session:
        operators.add(session, "admin", "hash")
    with pytest.raises(Conflict, match="exists already"), database.write() as session:
        operators.add(session, "admin", "other hash")


def test_a_row_whose_owner_is_gone_is_a_conflict(database):
    with pytest.raises(Conflict, match="gone"), database.write() as session:
        messages.add_question(session, 999, "anyone there?", "c1")


@pytest.mark.postgres
def test_a_row_removed_at_the_same_moment_is_a_conflict(postgres_database):
    entry_id = add_entry(postgres_database)

    def disable_while_it_is_removed():
        with postgres_database.write() as session:
            entry = faq.get(session, entry_id)
            with postgres_database.write() as other:
                faq.remove(other, faq.get(other, entry_id))
            faq.set_status(session, entry, "disabled")

    with pytest.raises(Conflict, match="same moment"):
        disable_while_it_is_removed()


def test_a_mistake_of_ours_keeps_its_own_error(database):
    with pytest.raises(SQLAlchemyError), database.read() as session:
        session.execute(text("SELEKT 1"))


def test_errors_do_not_repeat_what_visitors_wrote(database, conversation):
    with database.write() as session:
        messages.add_question(session, conversation.id, "hello", "c1")
    with pytest.raises(Conflict) as conflict, database.write() as session:
        messages.add_question(session, conversation.id, "my card is 6222020200112233", "c1")
    assert "6222020200112233" not in str(conflict.value.__cause__)


def test_a_conversation_takes_its_messages_with_it(database, conversation):
    with database.write() as session:
        messages.add_question(session, conversation.id, "q", "c1")
        session.delete(conversations.by_public_id(session, conversation.public_id))
    with database.read() as session:
        assert session.query(Message).count() == 0


def test_one_connection_of_a_file_stays_open_until_it_is_closed(sqlite_database, tmp_path):
    """While one is open SQLite keeps its log; the last to close puts it away, at the price of a flush."""
    log = tmp_path / "webchat.db-wal"
    add_entry(sqlite_database)
    assert log.exists()
    sqlite_database.close()
    assert not log.exists()
    add_entry(sqlite_database)


def test_ping_answers_while_there_is_a_database(database):
    database.ping()
    database.close()
    database.ping()
