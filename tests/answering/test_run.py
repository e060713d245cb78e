"""One answer of the model, from its row to its last word, when things go wrong too."""

from __future__ import annotations

import itertools
import threading
from contextlib import closing, contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs
from support.askers import somebody
from support.backends import DEADLINE, ByteBackend

from webchat.answering import run as run_module
from webchat.answering.events import Delta, Failed, Finished
from webchat.answering.faq.index import FaqIndex
from webchat.answering.pipeline import LEASE, Answerer, Opening
from webchat.answering.run import ModelSettings
from webchat.engine.generation import EngineUnavailable, QueueFull
from webchat.engine.llama import LlamaBackend
from webchat.engine.worker import LocalEngine
from webchat.storage import messages
from webchat.storage.database import StorageUnavailable
from webchat.storage.tables import utc_now

ANSWER = "您好，这是模型的回答。"
ALICE = Opening("alice", "page", "zh")
client_ids = (f"client-{number}" for number in itertools.count())


def ask(answerer, where=ALICE, text="问一个问题"):
    return answerer.answer(where, text, next(client_ids), somebody())


def row(database, turn):
    with database.read() as session:
        return messages.get(session, turn.conversation.id, turn.answer.id)


def end_of(answerer, turn):
    """The text and the outcome, as a follower gets them."""
    text = ""
    for event in answerer.follow(turn.conversation, turn.answer.id, heartbeat=DEADLINE):
        assert event != Delta(""), "nothing more came"
        text += event.text if isinstance(event, Delta) else ""
    return text, event


@pytest.fixture
def writing(answerer, backend):
    """A question whose answer is held after its first two characters."""
    backend.gate.hold()
    turn = ask(answerer)
    backend.gate.wait_until_held()
    backend.gate.allow(len("您好".encode()))
    backend.gate.wait_until_held()
    return turn


def cancelled(engine):
    """Wait until the engine, which is held, has been told to end something."""
    with engine._note:
        assert engine._note.wait_for(lambda: engine._cancelled, DEADLINE)


@contextmanager
def serving(database, load, **settings):
    """An answerer on an engine of its own."""
    engine = LocalEngine("own", load, max_running=4, max_waiting=64)
    engine.start()
    answerer = Answerer(
        database,
        engine,
        ModelSettings("店", **{"max_new_tokens": 200, "context_tokens": 2000} | settings),
        FaqIndex(database),
    )
    with closing(engine):
        yield answerer
    answerer.close(DEADLINE)
    assert not answerer._threads


@pytest.fixture
def save_always(monkeypatch):
    """Growing text is written at every look."""
    monkeypatch.setattr(run_module, "_SAVE_EVERY", 0.0)


def wait_for(database, turn, condition):
    """Look at the row until it is as expected."""
    deadline = datetime.now(UTC) + timedelta(seconds=DEADLINE)
    while not condition(found := row(database, turn)):
        assert datetime.now(UTC) < deadline, f"the row stayed {found.status}, {found.text!r}"
    return found


# ---- while it writes --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("save_always")
def test_growing_text_is_stored_while_it_grows(answerer, database, backend, writing):
    found = wait_for(database, writing, lambda answer: answer.text)
    assert found.status == "streaming"
    assert ANSWER.startswith(found.text)
    assert found.run_owner == answerer.owner
    backend.gate.open()
    assert end_of(answerer, writing) == (ANSWER, Finished("model", "stop", row(database, writing).stats))


@pytest.mark.usefixtures("save_always")
def test_a_run_whose_row_was_taken_over_stops_and_changes_nothing(answerer, database, backend, writing, engine):
    with database.write() as session:
        assert messages.interrupt_expired(session, utc_now() + 2 * LEASE)
    taken = row(database, writing)
    cancelled(engine)
    backend.gate.open()
    answerer.close(DEADLINE)
    assert backend.gate.begun < len(ANSWER.encode()), "it went on writing"
    found = row(database, writing)
    assert (found.status, found.text, found.finished_at) == ("interrupted", taken.text, taken.finished_at)


def test_who_follows_a_run_that_lost_its_row_is_told_it_was_interrupted(answerer, database, backend, writing):
    with database.write() as session:
        messages.interrupt_expired(session, utc_now() + 2 * LEASE)
    backend.gate.open()
    _, outcome = end_of(answerer, writing)
    assert outcome == Failed("interrupted")
    assert row(database, writing).status == "interrupted"


@pytest.fixture
def read_only(database, monkeypatch):
    """Make the database read-only, and writable again."""
    writers = database._writers

    def switch(*, on):
        monkeypatch.setattr(database, "_writers", database._readers if on else writers)

    return switch


@pytest.mark.usefixtures("save_always")
def test_a_database_that_cannot_be_written_loses_nothing_when_it_can_again(
    answerer, database, backend, writing, read_only
):
    watcher = threading.Event()
    with answerer.feeds.watch(writing.conversation.public_id, watcher) as feed, capture_logs() as logs:
        read_only(on=True)
        backend.gate.open()
        assert end_of(answerer, writing) == (ANSWER, Failed("not_stored"))
        assert row(database, writing).status in ("queued", "streaming")
        with pytest.raises(StorageUnavailable):
            answerer.store_late()
        read_only(on=False)
        cursor = feed.cursor()
        answerer.store_late()
        assert feed.changes(cursor).messages == (writing.answer.id,)
    found = row(database, writing)
    assert (found.text, found.status, found.finish_reason) == (ANSWER, "done", "stop")
    assert "The database is read-only." in {entry.get("problem") for entry in logs}
    answerer.store_late()
    assert row(database, writing).text == ANSWER


def test_what_no_database_takes_is_not_written_in_the_first_place(answerer, database, backend):
    backend.reply = lambda _prompt: f"\0{ANSWER}\0".encode()
    turn = ask(answerer)
    assert end_of(answerer, turn)[0] == ANSWER
    assert row(database, turn).text == ANSWER


def test_a_text_the_database_refuses_makes_a_failed_answer(answerer, database, monkeypatch):
    accept = messages.finish

    def finish(*arguments, text, **more):
        if text:
            raise ValueError("The text is too long, or holds something the database cannot store.")
        return accept(*arguments, text=text, **more)

    with monkeypatch.context() as refusing, capture_logs() as logs:
        refusing.setattr(messages, "finish", finish)
        turn = ask(answerer)
        assert end_of(answerer, turn) == (ANSWER, Failed("not_stored"))
        answerer.store_late()
    assert any(entry.get("exc_info") for entry in logs)
    assert (row(database, turn).status, row(database, turn).reason) == ("failed", "engine_error")
    assert answerer.retry(turn.conversation, turn.answer.id, somebody())
    assert end_of(answerer, turn)[0] == ANSWER


def test_what_fails_unexpectedly_while_it_writes_frees_the_engine(answerer, database, backend, writing, monkeypatch):
    def save(*_arguments):
        raise ZeroDivisionError

    with monkeypatch.context() as broken, capture_logs() as logs:
        broken.setattr(messages, "save_partial", save)
        broken.setattr(run_module, "_SAVE_EVERY", 0.0)
        cancelled(answerer._engine)
        assert end_of(answerer, writing)[1] == Failed("engine_error")
    assert any(entry["event"] == "run failed" for entry in logs)
    assert row(database, writing).status == "failed"
    backend.gate.open()
    assert end_of(answerer, ask(answerer, writing.conversation))[0] == ANSWER
    assert answerer._engine.stats().new_tokens < 2 * len(ANSWER.encode()), "the first went on writing"


def test_a_question_asked_back_is_answered_in_a_second_try(answerer, database, backend):
    tries = iter(["怎么读取这个文件？", ANSWER])
    backend.reply = lambda _prompt: next(tries).encode()
    begun = []
    begin = backend.begin
    backend.begin = lambda slot, sampling: (begun.append(sampling.temperature), begin(slot, sampling))
    turn = ask(answerer, text="如何读取这个文件？")
    whole = f"怎么读取这个文件？\n\n{ANSWER}"
    assert end_of(answerer, turn)[0] == whole
    assert (row(database, turn).text, row(database, turn).status) == (whole, "done")
    assert begun[0] < begun[1], "the second try is bolder, or it would say the same"


def test_a_second_try_that_finds_no_place_leaves_the_first(answerer, database, backend, monkeypatch):
    backend.reply = lambda _prompt: "怎么读取这个文件？".encode()
    places = [answerer._engine.chat]

    def chat(request):
        if not places:
            raise QueueFull(64, 10.0)
        return places.pop()(request)

    monkeypatch.setattr(answerer._engine, "chat", chat)
    turn = ask(answerer, text="如何读取这个文件？")
    assert end_of(answerer, turn)[0].strip() == "怎么读取这个文件？"
    assert row(database, turn).status == "done"


# ---- when there is no answer ------------------------------------------------------------------------------


def test_closing_the_engine_interrupts_with_the_text_that_was_there(answerer, database, backend, writing, engine):
    closer = threading.Thread(target=engine.close)
    closer.start()
    with engine._note:
        assert engine._note.wait_for(lambda: engine._state == "closed", DEADLINE)
    backend.gate.open()
    text, outcome = end_of(answerer, writing)
    closer.join(DEADLINE)
    assert outcome == Failed("interrupted")
    found = row(database, writing)
    assert (found.status, found.reason, found.text) == ("interrupted", "interrupted", text)
    assert text.startswith("您")


def test_a_question_longer_than_the_context_is_refused_and_the_next_is_answered(answerer, database):
    turn = ask(answerer, text="长" * 1000)
    assert end_of(answerer, turn) == ("", Failed("too_long"))
    found = row(database, turn)
    assert (found.status, found.reason, found.finish_reason) == ("failed", "too_long", "error")
    assert end_of(answerer, ask(answerer, turn.conversation))[0] == ANSWER


def test_a_question_that_meets_a_closed_engine_is_interrupted(answerer, database, engine):
    engine.close()
    turn = ask(answerer)
    assert end_of(answerer, turn) == ("", Failed("interrupted"))
    assert row(database, turn).reason == "interrupted"


def test_without_a_model_a_question_fails_with_the_reason(database):
    def load():
        raise EngineUnavailable("there is no model file")

    with capture_logs(), serving(database, load) as answerer:
        turn = ask(answerer)
        assert end_of(answerer, turn) == ("", Failed("no_model"))
    assert (row(database, turn).status, row(database, turn).reason) == ("failed", "no_model")


@pytest.mark.parametrize("reply", ["", " \n"])
def test_an_answer_without_a_word_is_a_failed_one(answerer, database, backend, reply):
    backend.reply = lambda _prompt: reply.encode()
    turn = ask(answerer)
    assert end_of(answerer, turn)[1] == Failed("engine_error")
    assert (row(database, turn).status, row(database, turn).reason) == ("failed", "engine_error")


@pytest.fixture
def loading(database):
    """An answerer whose model is loaded when the test sets the event."""
    loaded, backend = threading.Event(), ByteBackend(lambda _prompt: ANSWER.encode(), cells=8192)

    def load():
        assert loaded.wait(DEADLINE)
        return backend

    with serving(database, load) as answerer:
        yield answerer, loaded, backend
        loaded.set()


def test_a_model_that_is_being_loaded_is_waited_for(database, loading):
    answerer, loaded, _ = loading
    turn = ask(answerer)
    assert row(database, turn).status == "queued"
    loaded.set()
    assert end_of(answerer, turn)[0] == ANSWER


def test_what_was_stopped_while_the_model_was_loaded_is_not_written(database, loading):
    answerer, loaded, backend = loading
    turn = ask(answerer)
    answerer.stop(turn.conversation)
    loaded.set()
    assert end_of(answerer, turn) == ("", Finished("model", "stopped"))
    assert backend.gate.begun == 0
    assert row(database, turn).status == "stopped"


def test_a_stop_that_comes_while_the_engine_takes_the_question_is_heard(answerer, backend, engine, monkeypatch):
    submit, cancel = engine.submit, engine.cancel
    asked, told = threading.Event(), threading.Event()

    def submit_late(request):
        assert asked.wait(DEADLINE)
        answerer.stop(turn.conversation)
        return submit(request)

    def cancel_and_tell(generation):
        cancel(generation)
        told.set()

    monkeypatch.setattr(engine, "submit", submit_late)
    monkeypatch.setattr(engine, "cancel", cancel_and_tell)
    backend.gate.hold()
    turn = ask(answerer)
    asked.set()
    assert told.wait(DEADLINE)
    backend.gate.open()
    assert end_of(answerer, turn)[1].finish_reason == "stopped"


def test_the_log_lines_of_a_run_carry_the_request_that_began_it(answerer, backend):
    request, seen = ContextVar("request", default=None), []
    tokenize = backend.tokenize

    def noting(text, *, special=False):
        seen.append(request.get())
        return tokenize(text, special=special)

    backend.tokenize = noting
    request.set("r-1")
    end_of(answerer, ask(answerer))
    assert set(seen) == {"r-1"}


# ---- what the model reads ---------------------------------------------------------------------------------


@pytest.fixture
def prompts(backend):
    """What the model was given, newest last."""
    seen = []

    def reply(prompt):
        seen.append(prompt.decode())
        return ANSWER.encode()

    backend.reply = reply
    return seen


def test_the_model_reads_the_persona_the_turns_so_far_and_the_question(answerer, prompts):
    turn = ask(answerer, text="第一问")
    end_of(answerer, turn)
    weather = ask(answerer, turn.conversation, "今天天气怎么样")
    end_of(answerer, ask(answerer, turn.conversation, "第二问"))
    expected = ["「测试商店」", "byte-model", f"user\n第一问\nassistant\n{ANSWER}"]
    expected += [f"user\n今天天气怎么样\nassistant\n{weather.answer.text}", "user\n第二问\nassistant\n"]
    at = 0
    for words in expected:
        assert words in prompts[1][at:]
        at = prompts[1].index(words, at)
    assert prompts[1].endswith(expected[-1])


def test_a_question_that_got_no_answer_is_not_repeated_to_the_model(answerer, prompts):
    turn = ask(answerer, text="长" * 1000)
    end_of(answerer, turn)
    end_of(answerer, ask(answerer, turn.conversation, "第二问"))
    assert "长长" not in prompts[-1]


def test_an_answer_that_was_stopped_is_repeated_to_the_model_as_cut_off(answerer, backend, prompts):
    backend.gate.hold()
    turn = ask(answerer, text="第一问")
    backend.gate.wait_until_held()
    backend.gate.allow(len("您好".encode()))
    backend.gate.wait_until_held()
    answerer.stop(turn.conversation)
    cancelled(answerer._engine)
    backend.gate.open()
    text, _ = end_of(answerer, turn)
    end_of(answerer, ask(answerer, turn.conversation, "第二问"))
    assert f"user\n第一问\nassistant\n{text}……\n" in prompts[-1]


def test_other_conversations_stay_out_of_the_prompt(answerer, prompts):
    end_of(answerer, ask(answerer, text="爱丽丝的问题"))
    end_of(answerer, ask(answerer, Opening("bob", "page", "zh"), "鲍勃的问题"))
    assert "爱丽丝" not in prompts[-1]


def test_a_long_conversation_leaves_its_oldest_turns_out(answerer, prompts, backend):
    turn = ask(answerer, text="最早的问题")
    end_of(answerer, turn)
    for number in range(12):
        end_of(answerer, ask(answerer, turn.conversation, f"第{number}个{'很长的' * 12}问题"))
    assert "最早的问题" not in prompts[-1]
    assert "第10个" in prompts[-1]
    assert len(prompts[-1].encode()) < 2000 - 200


@pytest.mark.parametrize(("question", "reply"), [("问一个问题", ANSWER), ("a question", "An answer.")])
def test_the_personas_are_read_ahead_in_both_languages(database, backend, question, reply):
    backend.reply = lambda _prompt: reply.encode()
    with serving(database, lambda: backend) as answerer:
        answerer._model_run.read_personas()
        turn = ask(answerer, text=question)
        end_of(answerer, turn)
    stats = row(database, turn).stats
    assert stats["reused_tokens"] > 300
    assert stats["prompt_tokens"] - stats["reused_tokens"] < 60


def test_warming_up_without_a_model_is_no_error(answerer, engine):
    engine.close()
    with capture_logs() as logs:
        answerer._model_run.read_personas()
    assert logs[0]["event"] == "personas not read ahead"
    with pytest.raises(EngineUnavailable):
        engine.wait_until_ready(0)


# ---- llama.cpp itself -------------------------------------------------------------------------------------


def test_answers_of_random_bytes_are_stored_and_followed_as_whole_characters(database, endless_model):
    """The tiny model writes NULs, halves of characters and bytes that are none."""
    with serving(
        database, lambda: LlamaBackend(endless_model, sequences=8, cells=8192, threads=1), max_new_tokens=100
    ) as answerer:
        turns = [ask(answerer, Opening(f"visitor-{number}", "page", "zh"), f"问题{number}") for number in range(20)]
        for turn in turns:
            text, outcome = end_of(answerer, turn)
            assert isinstance(outcome, Finished)
            found = row(database, turn)
            assert (found.text, found.status, found.finish_reason) == (text, "done", outcome.finish_reason)
            assert "\N{REPLACEMENT CHARACTER}" not in text
            assert "\0" not in text
