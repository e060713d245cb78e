"""Leases: what died with its process is interrupted, what lives is left alone, and readiness waits for both."""

from __future__ import annotations

import itertools
import threading
from datetime import timedelta

import pytest
from structlog.testing import capture_logs
from support.askers import somebody
from support.backends import DEADLINE

from webchat.answering import leases as leases_module
from webchat.answering.leases import LeaseKeeper
from webchat.answering.pipeline import LEASE, Opening
from webchat.storage import messages
from webchat.storage.tables import utc_now

client_ids = (f"client-{number}" for number in itertools.count())


def leave_behind(database, conversation, *, lease, owner="another process", text="写了一半"):
    """An answer that another process was writing, with so much of its lease left."""
    with database.write() as session:
        question = messages.add_question(session, conversation.id, "问", next(client_ids))
        return messages.add_answer(
            session,
            conversation_id=conversation.id,
            question_id=question.id,
            source="model",
            status="streaming",
            text=text,
            owner=owner,
            lease_until=utc_now() + lease,
        )


def row(database, answer):
    with database.read() as session:
        return messages.get(session, answer.conversation_id, answer.id)


class Moment(threading.Event):
    """An event that looks at the database at the moment it is set."""

    def __init__(self, look):
        super().__init__()
        self.look = look
        self.seen = None

    def set(self):
        if not self.is_set():
            self.seen = self.look()
        super().set()


@pytest.fixture
def keeper(database, answerer):
    keeper = LeaseKeeper(database, answerer)
    yield keeper
    keeper.close()


@pytest.fixture
def often(monkeypatch):
    """Leases are looked at all the time."""
    monkeypatch.setattr(leases_module, "_EVERY", 0.01)


def settle(keeper, look=lambda: None):
    keeper._settled = Moment(look)
    keeper.start()
    assert keeper._settled.wait(DEADLINE)
    assert keeper.settled
    return keeper._settled.seen


def test_without_leftovers_everything_is_settled_at_once(keeper):
    assert not keeper.settled
    settle(keeper)
    assert keeper.problem is None


def test_what_expired_is_interrupted_with_its_text_before_everything_is_settled(
    keeper, database, conversation, answerer
):
    dead = leave_behind(database, conversation, lease=-LEASE)
    watcher = threading.Event()
    with answerer.feeds.watch(conversation.public_id, watcher) as feed, capture_logs() as logs:
        at_that_moment = settle(keeper, lambda: row(database, dead))
        assert feed.changes(0).messages == (dead.id,)
        assert watcher.is_set()
    assert (at_that_moment.status, at_that_moment.text) == ("interrupted", "写了一半")
    assert (at_that_moment.run_owner, at_that_moment.lease_until) == (None, None)
    assert any(entry["event"] == "answer interrupted" and entry["message_id"] == dead.id for entry in logs)
    assert answerer.retry(conversation, dead.id, somebody())


def test_a_lease_that_is_still_running_is_waited_for(keeper, database, conversation):
    dying = leave_behind(database, conversation, lease=timedelta(seconds=0.2))
    assert settle(keeper, lambda: row(database, dying)).status == "interrupted"
    assert utc_now() > dying.lease_until


def test_a_process_that_lives_and_renews_is_never_interrupted(keeper, database, conversation, monkeypatch):
    living = leave_behind(database, conversation, lease=timedelta(seconds=1))
    found, find = threading.Event(), messages.held_by_others

    def held_by_others(*arguments):
        held = find(*arguments)
        found.set()
        return held

    monkeypatch.setattr(messages, "held_by_others", held_by_others)
    keeper._settled = Moment(lambda: row(database, living))
    keeper.start()
    assert found.wait(DEADLINE)
    with database.write() as session:
        assert messages.renew_leases(session, "another process", utc_now() + 100 * LEASE) == 1
    assert keeper._settled.wait(DEADLINE)
    assert utc_now() > living.lease_until, "it did not wait for the lease it had found"
    assert keeper._settled.seen.status == "streaming"
    assert row(database, living).run_owner == "another process"


@pytest.mark.usefixtures("often")
def test_a_lease_from_the_future_does_not_keep_a_site_from_getting_ready(keeper, database, conversation, monkeypatch):
    """A clock that was wrong: such a lease is waited for no longer than an honest one."""
    monkeypatch.setattr(leases_module, "LEASE", timedelta(seconds=0.1))
    wrong = leave_behind(database, conversation, lease=timedelta(days=365))
    settle(keeper)
    assert row(database, wrong).status == "streaming"


@pytest.mark.usefixtures("often")
def test_what_this_process_writes_is_renewed_and_not_interrupted(keeper, database, backend, answerer, monkeypatch):
    monkeypatch.setattr("webchat.answering.pipeline.LEASE", timedelta(seconds=0.2))
    backend.gate.hold()
    turn = answerer.answer(Opening("alice", "page", "zh"), "问一个问题", next(client_ids), somebody())
    backend.gate.wait_until_held()
    first = row(database, turn.answer).lease_until
    settle(keeper)
    while utc_now() < first + timedelta(seconds=0.1):
        assert row(database, turn.answer).status == "queued"
    assert row(database, turn.answer).lease_until > first
    backend.gate.open()
    answerer.close(DEADLINE)
    assert row(database, turn.answer).status == "done"
    with database.write() as session:
        assert answerer.renew(session) == 0


@pytest.mark.usefixtures("often")
def test_an_answer_that_could_not_be_stored_is_stored_by_the_keeper(keeper, database, backend, answerer, monkeypatch):
    backend.gate.hold()
    turn = answerer.answer(Opening("alice", "page", "zh"), "问一个问题", next(client_ids), somebody())
    writers = database._writers
    monkeypatch.setattr(database, "_writers", database._readers)
    backend.gate.open()
    with capture_logs() as logs:
        answerer.close(DEADLINE)
        keeper.start()
        while keeper.problem is None:
            assert not keeper.settled
        assert keeper.problem == "The database is read-only."
        monkeypatch.setattr(database, "_writers", writers)
        assert keeper._settled.wait(DEADLINE)
    assert keeper.problem is None
    stored = row(database, turn.answer)
    assert (stored.status, stored.finish_reason) == ("done", "stop")
    assert {entry["event"] for entry in logs} >= {"answer not stored", "leases not kept"}


@pytest.mark.usefixtures("often")
def test_an_end_that_comes_after_its_lease_is_not_lost(keeper, database, backend, answerer, monkeypatch):
    """The database was read-only for longer than a lease: nobody else has touched the row, so it is still ours."""
    backend.gate.hold()
    turn = answerer.answer(Opening("alice", "page", "zh"), "问一个问题", next(client_ids), somebody())
    writers = database._writers
    monkeypatch.setattr(database, "_writers", database._readers)
    backend.gate.open()
    with capture_logs():
        answerer.close(DEADLINE)
    monkeypatch.setattr(database, "_writers", writers)
    with database.write() as session:
        assert messages.renew_leases(session, answerer.owner, utc_now() - LEASE) == 1
    settle(keeper)
    assert row(database, turn.answer).status == "done"


@pytest.mark.usefixtures("often")
def test_a_mistake_does_not_end_the_keeper(keeper, database, answerer, monkeypatch):
    def renew(_session):
        mistakes.append(None)
        raise ZeroDivisionError

    mistakes = []
    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(answerer, "renew", renew)
        keeper.start()
        while len(mistakes) < 3:
            assert keeper._thread.is_alive()
    assert keeper._settled.wait(DEADLINE)
    assert any(entry.get("exc_info") for entry in logs)


def test_a_keeper_that_was_never_started_can_be_closed(database, answerer):
    LeaseKeeper(database, answerer).close()


def test_closing_does_not_wait_for_the_next_look(keeper):
    settle(keeper)
    keeper.close()
    assert not keeper._thread.is_alive()
