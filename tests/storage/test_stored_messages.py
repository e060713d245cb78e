"""Messages: questions stored once, answers written by one owner at a time."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError

from webchat.storage import conversations, faq, messages
from webchat.storage.database import Conflict
from webchat.storage.tables import utc_now

US, THEM = "process-1", "process-2"
DEADLINE = 20


@pytest.fixture
def question(database, conversation):
    with database.write() as session:
        return messages.add_question(session, conversation.id, "几天到货？", "c1")


@pytest.fixture
def running(database, conversation, question):
    """An answer of ours that is queued."""
    with database.write() as session:
        return queue_answer(session, question)


def queue_answer(session, question, owner=US, seconds=60):
    return messages.add_answer(
        session,
        conversation_id=question.conversation_id,
        question_id=question.id,
        source="model",
        status="queued",
        owner=owner,
        lease_until=utc_now() + timedelta(seconds=seconds),
        model="qwen",
        reason="no entry fits",
    )


def whole_answer(session, question, text="三天。", status="done", source="rule", **more):
    return messages.add_answer(
        session,
        conversation_id=question.conversation_id,
        question_id=question.id,
        source=source,
        status=status,
        text=text,
        **more,
    )


def finish(session, message_id, owner=US, status="done", reason=None):
    return messages.finish(
        session,
        message_id,
        owner,
        text="三天到货。",
        status=status,
        finish_reason="stop",
        stats={"tokens": 5},
        reason=reason,
    )


def stored(database, message):
    with database.read() as session:
        return messages.get(session, message.conversation_id, message.id)


def test_a_question_sent_twice_is_stored_once(database, conversation, question):
    with pytest.raises(Conflict), database.write() as session:
        messages.add_question(session, conversation.id, "几天到货？", "c1")
    with database.read() as session:
        assert messages.question_with_client_id(session, conversation.id, "c1").id == question.id
        assert messages.question_with_client_id(session, conversation.id, "c2") is None
        assert [said.id for said in messages.thread(session, conversation.id)] == [question.id]


def test_a_question_is_complete_at_once(database, question):
    found = stored(database, question)
    assert (found.role, found.status, found.source) == ("visitor", "done", None)
    assert found.finished_at == found.created_at


def test_the_same_client_id_in_another_conversation_is_another_question(database, question):
    with database.write() as session:
        other = conversations.open_conversation(session, visitor_id="bob", channel="page", language="en", title="hi")
        assert messages.add_question(session, other.id, "hi", "c1").id != question.id


def test_questions_without_a_client_id_are_all_stored(database, conversation):
    with database.write() as session:
        messages.add_question(session, conversation.id, "again", None)
        messages.add_question(session, conversation.id, "again", None)


def test_a_message_of_another_conversation_is_not_found(database, conversation, question):
    with database.write() as session:
        other = conversations.open_conversation(session, visitor_id="bob", channel="page", language="zh", title="hi")
        assert messages.get(session, other.id, question.id) is None
        assert messages.get(session, conversation.id, question.id).text == "几天到货？"


def test_an_answer_keeps_the_entry_as_it_was(database, question):
    with database.write() as session:
        entry = faq.create(session, phrasings=["几天到货"], answer="三天。")
        matched = {"question": entry.question, "answer": entry.answer, "how": "exact"}
        answer = whole_answer(session, question, source="faq", entry=entry.id, matched=matched)
    with database.write() as session:
        faq.remove(session, faq.get(session, entry.id))
    found = stored(database, answer)
    assert found.entry_id is None
    assert found.matched == {"question": "几天到货", "answer": "三天。", "how": "exact"}
    assert found.finished_at is not None


def test_an_answer_of_an_entry_removed_meanwhile_is_stored(database, question):
    with database.write() as session:
        assert whole_answer(session, question, source="faq", entry=12345).entry_id is None


def test_an_operators_answer_has_the_operators_role(database, question):
    with database.write() as session:
        assert whole_answer(session, question, source="human").role == "operator"
        assert whole_answer(session, question, source="faq").role == "assistant"


def test_the_latest_answer_to_a_question_counts(database, question):
    with database.read() as session:
        assert messages.answer_to(session, question.id) is None
    with database.write() as session:
        whole_answer(session, question)
        latest = whole_answer(session, question)
    with database.read() as session:
        assert messages.answer_to(session, question.id).id == latest.id


@pytest.mark.parametrize("status", ["queued", "streaming"])
def test_an_unfinished_answer_needs_a_lease(database, question, status):
    with pytest.raises(IntegrityError), database.write() as session:
        whole_answer(session, question, status=status)


def test_a_finished_answer_has_no_lease(database, question):
    with pytest.raises(IntegrityError), database.write() as session:
        whole_answer(session, question, owner=US, lease_until=utc_now())


@contextmanager
def statements(database):
    """Collects the SQL that reaches the database inside the block."""
    seen = []

    def note(_connection, _cursor, statement, *_):
        if statement.startswith("SELECT"):
            seen.append(statement)

    event.listen(database._engine, "before_cursor_execute", note)
    yield seen
    event.remove(database._engine, "before_cursor_execute", note)


def test_a_thread_is_the_newest_messages_oldest_first(database, conversation):
    with database.write() as session:
        ids = [messages.add_question(session, conversation.id, f"q{n}", f"c{n}").id for n in range(220)]
    with database.read() as session:
        assert [m.id for m in messages.thread(session, conversation.id)] == ids[-200:]
        assert [m.id for m in messages.thread(session, conversation.id, limit=10)] == ids[-10:]
        earlier = messages.thread(session, conversation.id, limit=10, before_id=ids[-10])
        assert [m.id for m in earlier] == ids[-20:-10]
        assert messages.thread(session, conversation.id, before_id=ids[0]) == []


def test_messages_are_found_by_number_in_their_conversation_alone(database, conversation):
    with database.write() as session:
        other = conversations.open_conversation(session, visitor_id="bob", channel="page", language="zh", title="hi")
        theirs = messages.add_question(session, other.id, "hi", "c1").id
        ids = [messages.add_question(session, conversation.id, f"q{n}", f"c{n}").id for n in range(3)]
        found = messages.some(session, conversation.id, [ids[2], ids[0], theirs, 10**30])
        assert [message.id for message in found] == [ids[0], ids[2]]
        assert messages.some(session, conversation.id, []) == []
        assert [message.id for message in messages.everything(session, conversation.id)] == ids


def test_a_thread_is_one_query_however_long_it_is(database, conversation, question):
    def queries():
        with database.read() as session, statements(database) as seen:
            for message in messages.thread(session, conversation.id):
                _ = (message.text, message.matched, message.stats, message.entry_id)
        return len(seen)

    assert queries() == 1
    with database.write() as session:
        for number in range(40):
            asked = messages.add_question(session, conversation.id, "q", f"n{number}")
            whole_answer(session, asked, stats={"tokens": number})
    assert queries() == 1


def test_a_prompt_repeats_what_was_said_and_nothing_else(database, conversation):
    with database.write() as session:
        first = messages.add_question(session, conversation.id, "一", "p1")
        whole_answer(session, first, "done")
        whole_answer(session, first, "stopped", status="stopped")
        whole_answer(session, first, "interrupted", status="interrupted")
        whole_answer(session, first, "failed", status="failed")
        whole_answer(session, first, "")
        queue_answer(session, first)
        now_asked = messages.add_question(session, conversation.id, "二", "p2")
    with database.read() as session:
        turns = messages.recent_turns(session, conversation.id, before_id=now_asked.id, limit=10)
        assert [turn.text for turn in turns] == ["一", "done", "stopped", "interrupted"]
        turns = messages.recent_turns(session, conversation.id, before_id=now_asked.id, limit=2)
        assert [turn.text for turn in turns] == ["stopped", "interrupted"]


def test_an_answer_is_written_from_queued_to_done(database, conversation, running):
    with database.write() as session:
        assert [m.id for m in messages.unfinished(session, conversation.id)] == [running.id]
        assert messages.save_partial(session, running.id, US, "三天")
    half = stored(database, running)
    assert (half.status, half.text, half.run_owner) == ("streaming", "三天", US)
    with database.write() as session:
        assert finish(session, running.id)
        assert messages.unfinished(session, conversation.id) == []
    whole = stored(database, running)
    assert (whole.status, whole.text, whole.finish_reason) == ("done", "三天到货。", "stop")
    assert (whole.stats, whole.reason) == ({"tokens": 5}, "no entry fits")
    assert (whole.run_owner, whole.lease_until) == (None, None)
    assert whole.finished_at >= whole.created_at


def test_a_failure_says_why(database, running):
    with database.write() as session:
        finish(session, running.id, status="failed", reason="the model stopped")
    assert stored(database, running).reason == "the model stopped"


def test_another_owner_can_neither_write_nor_end_an_answer(database, running):
    with database.write() as session:
        assert not messages.save_partial(session, running.id, THEM, "stolen")
        assert not finish(session, running.id, owner=THEM)
    assert (stored(database, running).status, stored(database, running).text) == ("queued", "")


@pytest.mark.parametrize("status", ["done", "stopped", "failed"])
def test_an_ended_answer_stays_as_it_ended(database, running, status):
    with database.write() as session:
        finish(session, running.id, status=status)
        assert not messages.save_partial(session, running.id, US, "late")
        assert not finish(session, running.id)
    assert (stored(database, running).status, stored(database, running).text) == (status, "三天到货。")


def test_a_whole_answer_is_not_written_again_even_by_its_owner(database, question):
    with database.write() as session:
        answer = whole_answer(session, question, owner=US)
        assert not messages.save_partial(session, answer.id, US, "late")
        assert not finish(session, answer.id)


@pytest.mark.parametrize("status", ["stopped", "failed", "interrupted"])
def test_an_answer_that_came_to_no_good_end_starts_again_once(database, running, status):
    lease = utc_now() + timedelta(seconds=30)
    with database.write() as session:
        finish(session, running.id, status=status, reason="why")
        assert messages.restart(session, running.id, THEM, lease, "newer")
        assert not messages.restart(session, running.id, US, lease, "newer")
    again = stored(database, running)
    assert (again.status, again.text, again.run_owner, again.lease_until) == ("queued", "", THEM, lease)
    assert (again.finish_reason, again.stats, again.reason, again.finished_at) == (None, None, None, None)
    assert again.source == "model"


def test_of_many_who_retry_at_once_one_starts_it(database, running):
    with database.write() as session:
        finish(session, running.id, status="failed")

    def retry(number):
        with database.write() as session:
            return messages.restart(session, running.id, f"process-{number}", utc_now(), "newer")

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(retry, range(8))).count(True) == 1


def test_neither_a_good_answer_nor_a_question_nor_a_running_one_starts_again(database, question, running):
    with database.write() as session:
        good = whole_answer(session, question)
        for message in (good, question, running):
            assert not messages.restart(session, message.id, THEM, utc_now(), "newer")
        assert not messages.restart(session, 999, THEM, utc_now(), "newer")


def test_leases_are_renewed_for_their_owner_alone(database, question):
    later = utc_now() + timedelta(hours=1)
    with database.write() as session:
        ours = [queue_answer(session, question) for _ in range(2)]
        theirs = queue_answer(session, question, owner=THEM)
        finish(session, queue_answer(session, question).id)
        assert messages.renew_leases(session, US, later) == 2
        assert messages.renew_leases(session, "nobody", later) == 0
    assert [stored(database, answer).lease_until for answer in ours] == [later, later]
    assert stored(database, theirs).lease_until == theirs.lease_until


def test_only_expired_leases_are_interrupted_and_keep_their_text(database, conversation, question):
    with database.write() as session:
        dead = queue_answer(session, question, owner=THEM, seconds=-1)
        messages.save_partial(session, dead.id, THEM, "三天")
        alive = queue_answer(session, question, owner=THEM, seconds=60)
    moment = utc_now()
    with database.write() as session:
        assert messages.interrupt_expired(session, moment) == [(conversation.public_id, dead.id)]
        assert messages.interrupt_expired(session, moment) == []
    found = stored(database, dead)
    assert (found.status, found.text, found.run_owner, found.lease_until) == (
        "interrupted",
        "三天",
        None,
        None,
    )
    assert found.finished_at == moment
    assert stored(database, alive).status == "queued"


def test_an_interrupted_answer_is_lost_to_its_former_owner(database, question):
    with database.write() as session:
        answer = queue_answer(session, question, seconds=-1)
        messages.interrupt_expired(session, utc_now())
        assert not messages.save_partial(session, answer.id, US, "I was only slow")
        assert not finish(session, answer.id)
    assert stored(database, answer).text == ""


@pytest.mark.postgres
def test_of_two_processes_that_look_at_once_one_reports_an_interruption(postgres_database):
    with postgres_database.write() as session:
        conversation = conversations.open_conversation(
            session, visitor_id="alice", channel="page", language="zh", title="hi"
        )
        asked = messages.add_question(session, conversation.id, "hi", "c1")
        queue_answer(session, asked, owner="dead", seconds=-1)
    moment = utc_now()

    def look():
        with postgres_database.write() as session:
            return messages.interrupt_expired(session, moment)

    with ThreadPoolExecutor(1) as second:
        with postgres_database.write() as session:
            assert len(messages.interrupt_expired(session, moment)) == 1
            found_second = second.submit(look)
            wait_until_one_waits_for_a_lock(postgres_database)
        assert found_second.result(DEADLINE) == []


def wait_until_one_waits_for_a_lock(database):
    deadline = time.monotonic() + DEADLINE
    while time.monotonic() < deadline:
        with database.read() as session:
            if session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")):
                return
    pytest.fail("nobody waits for a lock")


def test_what_others_hold_is_known_by_its_lease(database, question):
    with database.write() as session:
        queue_answer(session, question, owner=US)
        late = queue_answer(session, question, owner=THEM, seconds=90)
        soon = queue_answer(session, question, owner="process-3", seconds=30)
        finish(session, queue_answer(session, question, owner=THEM).id, owner=THEM)
        assert messages.held_by_others(session, US) == [soon.lease_until, late.lease_until]
        assert messages.held_by_others(session, "new") != []
