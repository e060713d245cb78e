"""The answerer on a real database: who answers, what is stored, and what those who follow are told."""

from __future__ import annotations

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from support.askers import somebody
from support.backends import DEADLINE, ByteBackend

from webchat.answering.events import Delta, Failed, Finished, Queued, Started
from webchat.answering.faq.index import FaqIndex
from webchat.answering.feed import Feed, Run
from webchat.answering.following import failure_of, live_events
from webchat.answering.pipeline import Answerer, Asker, Busy, NotTheLast, Opening, StillAnswering, Turn
from webchat.answering.run import ModelSettings
from webchat.engine.worker import LocalEngine
from webchat.storage import conversations, faq, messages, rules

ANSWER = "您好，这是模型的回答。"
ALICE = Opening("alice", "page", "zh")
client_ids = (f"client-{number}" for number in itertools.count())


def ask(answerer, where, text="问一个问题", client_id=None):
    return answerer.answer(where, text, client_id or next(client_ids), somebody())


def add_entry(database, question="怎么退货", answer="七天内可以退货。"):
    with database.write() as session:
        return faq.create(session, phrasings=[question], answer=answer)


def add_rule(database, **content):
    with database.write() as session:
        return rules.add(session, content)


def row(database, message):
    with database.read() as session:
        return messages.get(session, message.conversation_id, message.id)


def everything(database, conversation):
    with database.read() as session:
        return [(message.role, message.text) for message in messages.everything(session, conversation.id)]


def conversations_of(database, visitor="alice"):
    with database.read() as session:
        return conversations.recent_of_visitor(session, visitor)


def follow(answerer, turn):
    """All events of an answer; an answer that does not end fails the test."""
    events = []
    for event in answerer.follow(turn.conversation, turn.answer.id, heartbeat=DEADLINE):
        assert event != Delta(""), "nothing more came"
        events.append(event)
    return events


def text_of(events):
    return "".join(event.text for event in events if isinstance(event, Delta))


def finish(answerer, backend, turn):
    backend.gate.open()
    return follow(answerer, turn)


def engine_has(answerer, condition):
    """Wait until the engine has got a note."""
    engine = answerer._engine
    with engine._note:
        assert engine._note.wait_for(lambda: condition(engine), DEADLINE)


def stop(answerer, turn):
    """Stop an answer, and wait until the engine, which is held, has been told."""
    answerer.stop(turn.conversation)
    engine_has(answerer, lambda engine: engine._cancelled)


@pytest.fixture
def writing(answerer, backend):
    """A question of Alice whose answer is held at its first token."""
    backend.gate.hold()
    turn = ask(answerer, ALICE)
    backend.gate.wait_until_held()
    return turn


# ---- who answers ------------------------------------------------------------------------------------------


def test_a_rule_answers_before_the_model(answerer):
    turn = ask(answerer, ALICE, "今天天气怎么样？")
    assert (turn.answer.source, turn.answer.status, turn.answer.reason) == ("rule", "done", "rule: weather")
    assert "看不到实时天气" in turn.answer.text


def test_an_entry_of_the_shop_goes_before_a_rule_that_came_with_the_site(answerer, database):
    add_entry(database, "今天天气怎么样", "我们店里总是晴天。")
    assert ask(answerer, ALICE, "今天天气怎么样？").answer.text == "我们店里总是晴天。"
    assert ask(answerer, ALICE, "今天的天气怎么样？").answer.reason == "rule: weather"


def test_a_rule_of_the_operators_goes_before_an_entry(answerer, database):
    add_entry(database, "怎么退货", "七天内可以退货。")
    add_rule(database, condition={"keywords": ["退货"]}, action="handoff", reply_zh="请打 12345。")
    turn = ask(answerer, ALICE, "怎么退货？")
    assert (turn.answer.source, turn.answer.text) == ("rule", "请打 12345。")
    assert turn.answer.reason.startswith("handoff: ")


def test_tags_are_stored_with_the_question_whoever_answers(answerer, database, backend):
    add_entry(database, "怎么退货", "七天内可以退货。")
    add_rule(database, condition={"keywords": ["退货", "写"]}, action="tag", tag="售后")
    add_rule(database, condition={"pattern": "怎么|首诗"}, action="tag", tag="问法")
    by_faq, by_model = ask(answerer, ALICE, "怎么退货？"), ask(answerer, ALICE, "写首诗")
    assert (by_faq.answer.source, by_model.answer.source) == ("faq", "model")
    assert row(database, by_faq.question).tags == row(database, by_model.question).tags == ["问法", "售后"]
    assert row(database, ask(answerer, ALICE, "今天天气好吗").question).tags is None


def test_what_is_blocked_reaches_neither_faq_nor_model(answerer, database, backend):
    add_rule(database, condition={"keywords": ["赌博"]}, action="block")
    turn = ask(answerer, ALICE, "赌博网站推荐一个")
    assert (turn.answer.source, turn.answer.status) == ("rule", "done")
    assert turn.answer.reason.startswith("block: ")
    assert not answerer._threads
    ask(answerer, turn.conversation, "写首诗")
    with database.read() as session:
        told = messages.recent_turns(session, turn.conversation.id, before_id=2**31 - 1, limit=50)
    assert [message.text for message in told if message.role == "visitor"] == ["写首诗"]


def test_the_faq_answers_before_the_model_and_remembers_how(answerer, database, backend):
    entry = add_entry(database)
    turn = ask(answerer, ALICE, "请问怎么退货呢？")
    stored = row(database, turn.answer)
    assert (stored.source, stored.status, stored.finish_reason, stored.text) == (
        "faq",
        "done",
        "stop",
        "七天内可以退货。",
    )
    assert (stored.entry_id, stored.reason, stored.question_id) == (entry.id, "exact", turn.question.id)
    assert stored.matched == {
        "question": "怎么退货",
        "answer": "七天内可以退货。",
        "phrasing": "怎么退货",
        "how": "exact",
    }
    assert backend.gate.begun == 0
    with database.read() as session:
        assert faq.get(session, entry.id).hits == 1


def test_what_was_matched_stays_as_it_was_when_the_entry_is_edited_or_removed(answerer, database):
    entry = add_entry(database)
    turn = ask(answerer, ALICE, "怎么退货")
    with database.write() as session:
        faq.remove(session, faq.get(session, entry.id))
    stored = row(database, turn.answer)
    assert stored.entry_id is None
    assert stored.matched["answer"] == stored.text == "七天内可以退货。"
    assert ask(answerer, turn.conversation, "怎么退货").answer.source == "rule"


def test_an_edit_answers_the_very_next_question(answerer, database):
    entry = add_entry(database)
    turn = ask(answerer, ALICE, "怎么退货")
    with database.write() as session:
        stored = faq.get(session, entry.id)
        faq.update(session, stored, phrasings=["怎么退货"], answer="现在是十天。", group_name="")
    assert ask(answerer, turn.conversation, "怎么退货").answer.text == "现在是十天。"


def test_the_model_answers_what_nobody_else_knows(answerer, database, engine):
    turn = ask(answerer, ALICE, "帮我写一封辞职信")
    assert (turn.answer.source, turn.answer.status, turn.answer.reason) == ("model", "queued", "no entry")
    events = follow(answerer, turn)
    assert text_of(events) == ANSWER
    stored = row(database, turn.answer)
    assert (stored.text, stored.status, stored.finish_reason) == (ANSWER, "done", "stop")
    assert (stored.model, stored.run_owner, stored.lease_until) == ("byte-model", None, None)
    assert stored.stats == events[-1].stats
    assert stored.stats["new_tokens"] == len(ANSWER.encode())


# ---- what is stored ---------------------------------------------------------------------------------------


def test_the_first_question_opens_its_conversation(answerer, database):
    turn = ask(answerer, ALICE, "  怎么 写诗？")
    [conversation] = conversations_of(database)
    assert conversation.id == turn.conversation.id
    assert (conversation.title, conversation.channel, conversation.language) == ("怎么 写诗？", "page", "zh")
    follow(answerer, turn)
    assert everything(database, conversation) == [("visitor", "  怎么 写诗？"), ("assistant", ANSWER)]


def test_a_question_sent_twice_is_stored_once(answerer, database, backend, writing):
    again = ask(answerer, ALICE, client_id=writing.question.client_id)
    assert again.repeated
    assert not writing.repeated
    assert (again.question.id, again.answer.id) == (writing.question.id, writing.answer.id)
    finish(answerer, backend, writing)
    inside = ask(answerer, writing.conversation, client_id=writing.question.client_id)
    assert inside.repeated
    assert inside.answer.text == ANSWER
    assert len(everything(database, writing.conversation)) == 2
    assert len(conversations_of(database)) == 1


def test_another_visitor_s_client_id_is_another_question(answerer, backend):
    alice = ask(answerer, ALICE, client_id="the-same")
    follow(answerer, alice)
    bob = ask(answerer, Opening("bob", "page", "zh"), client_id="the-same")
    assert not bob.repeated
    assert bob.conversation.id != alice.conversation.id


@pytest.mark.parametrize("text", ["怎么退货", "问模型"])
@pytest.mark.parametrize("opening", [True, False])
def test_a_question_that_arrives_twice_at_the_same_moment_is_stored_once(
    answerer, database, conversation, text, opening
):
    add_entry(database)
    barrier = threading.Barrier(4)

    def send(_number):
        barrier.wait(DEADLINE)
        return ask(answerer, ALICE if opening else conversation, text, "the-same")

    with ThreadPoolExecutor(4) as pool:
        turns = list(pool.map(send, range(4)))
    assert sorted(turn.repeated for turn in turns) == [False, True, True, True]
    assert len({(turn.conversation.id, turn.question.id, turn.answer.id) for turn in turns}) == 1
    follow(answerer, turns[0])
    assert len(everything(database, turns[0].conversation)) == 2
    assert len(conversations_of(database)) == (2 if opening else 1)


def test_of_two_questions_at_the_same_moment_the_model_answers_one(answerer, database, backend, conversation):
    barrier = threading.Barrier(4)

    def send(number):
        barrier.wait(DEADLINE)
        try:
            return ask(answerer, conversation, f"第{number}问")
        except StillAnswering:
            return None

    backend.gate.hold()
    with ThreadPoolExecutor(4) as pool:
        [turn] = filter(None, pool.map(send, range(4)))
    assert len(everything(database, conversation)) == 2
    assert text_of(finish(answerer, backend, turn)) == ANSWER


def test_while_the_model_writes_only_what_is_known_is_answered_there(answerer, database, backend, writing):
    add_entry(database)
    with pytest.raises(StillAnswering):
        ask(answerer, writing.conversation, "还有一个问题")
    assert len(everything(database, writing.conversation)) == 2
    assert ask(answerer, writing.conversation, "怎么退货").answer.text == "七天内可以退货。"
    assert text_of(finish(answerer, backend, writing)) == ANSWER
    assert follow(answerer, ask(answerer, writing.conversation, "还有一个问题"))[-1].finish_reason == "stop"


@pytest.fixture
def full(answerer, backend, writing):
    """One answer is being written, one question waits, and more have no room."""
    waiting = ask(answerer, Opening("bob", "page", "zh"))
    engine_has(answerer, lambda engine: engine.queue_full())
    return waiting


def test_a_full_queue_turns_away_what_only_the_model_could_answer(answerer, database, backend, writing, full):
    add_entry(database)
    charlie = Opening("charlie", "page", "zh")
    with pytest.raises(Busy) as busy:
        ask(answerer, charlie)
    assert busy.value.retry_after > 0
    assert conversations_of(database, "charlie") == []
    assert ask(answerer, charlie, "怎么退货").answer.source == "faq"
    finish(answerer, backend, writing)
    assert text_of(follow(answerer, full)) == ANSWER


def test_a_question_that_is_in_the_full_queue_already_is_not_turned_away(answerer, full):
    again = ask(answerer, Opening("bob", "page", "zh"), client_id=full.question.client_id)
    assert again.repeated


def test_without_a_thread_to_be_had_a_question_fails_and_can_be_retried(answerer, database, monkeypatch):
    def start(_thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as exhausted:
        exhausted.setattr(threading.Thread, "start", start)
        with pytest.raises(RuntimeError, match="thread"):
            ask(answerer, ALICE)
    [conversation] = conversations_of(database)
    assert answerer.feeds._feeds == {}
    assert not answerer._threads
    answerer.store_late()
    with database.read() as session:
        _, answer = messages.everything(session, conversation.id)
    assert (answer.status, answer.reason) == ("failed", "engine_error")
    assert answerer.retry(conversation, answer.id, somebody())


# ---- stop and retry ---------------------------------------------------------------------------------------


def test_stop_keeps_what_was_written(answerer, database, backend, writing):
    backend.gate.allow(len("您好".encode()))
    backend.gate.wait_until_held()
    stop(answerer, writing)
    events = finish(answerer, backend, writing)
    assert isinstance(events[-1], Finished)
    assert events[-1].finish_reason == "stopped"
    stored = row(database, writing.answer)
    assert (stored.status, stored.finish_reason) == ("stopped", "stopped")
    assert stored.text == text_of(events)
    assert stored.text.startswith("您好")
    assert ANSWER.startswith(stored.text)


def test_stop_ends_what_waits(answerer, database, backend, writing, full):
    stop(answerer, full)
    events = finish(answerer, backend, full)
    assert text_of(events) == ""
    assert events[-1].finish_reason == "stopped"
    assert row(database, full.answer).status == "stopped"
    assert text_of(follow(answerer, writing)) == ANSWER


def test_stop_where_nothing_is_written_stops_nothing(answerer, conversation):
    answerer.stop(conversation)


def test_retry_makes_the_answer_anew_in_its_place(answerer, database, backend, writing):
    stop(answerer, writing)
    finish(answerer, backend, writing)
    again = answerer.retry(writing.conversation, writing.answer.id, somebody())
    assert (again.id, again.status, again.text, again.stats) == (writing.answer.id, "queued", "", None)
    assert text_of(follow(answerer, writing)) == ANSWER
    assert everything(database, writing.conversation)[1:] == [("assistant", ANSWER)]


def test_retry_of_what_is_good_running_or_not_there_does_nothing(answerer, database, backend, conversation, writing):
    with pytest.raises(StillAnswering):
        answerer.retry(writing.conversation, writing.answer.id, somebody())
    finish(answerer, backend, writing)
    assert answerer.retry(writing.conversation, writing.answer.id, somebody()) is None
    assert answerer.retry(writing.conversation, writing.question.id, somebody()) is None
    assert answerer.retry(writing.conversation, 999, somebody()) is None
    assert answerer.retry(conversation, writing.answer.id, somebody()) is None, "of another conversation"
    assert row(database, writing.answer).text == ANSWER


def test_retry_gives_the_answer_that_the_shop_has_written_meanwhile(answerer, database, backend, writing):
    stop(answerer, writing)
    finish(answerer, backend, writing)
    with database.read() as session:
        question = messages.get(session, writing.conversation.id, writing.question.id).text
    entry = add_entry(database, question, "店里写好了。")
    again = answerer.retry(writing.conversation, writing.answer.id, somebody())
    assert (again.source, again.text, again.entry_id) == ("faq", "店里写好了。", entry.id)
    assert again.matched["question"] == question
    with database.read() as session:
        assert faq.get(session, entry.id).hits == 1


# ---- the last question in other words, and another answer ------------------------------------------------


def test_an_edited_question_comes_in_the_place_of_the_first_which_stays_readable(answerer, database):
    add_entry(database)
    first = ask(answerer, ALICE, "写首诗")
    follow(answerer, first)
    edited = answerer.edit(first.conversation, first.question.id, "怎么退货", "edit-1", somebody())
    assert edited.answer.source == "faq"
    assert set(edited.changed) == {first.question.id, first.answer.id}
    assert row(database, first.answer).text == ANSWER
    with database.read() as session:
        told = messages.recent_turns(session, first.conversation.id, before_id=2**31 - 1, limit=50)
        asked = messages.asked_before(session, first.conversation.id, before_id=None, limit=9)
    assert [message.text for message in told] == ["怎么退货", "七天内可以退货。"]
    assert asked == ["怎么退货"]


def test_an_edit_stops_what_is_being_written(answerer, database, backend, writing):
    edited = []
    thread = threading.Thread(
        target=lambda: edited.append(
            answerer.edit(writing.conversation, writing.question.id, "写两首诗", "edit-1", somebody())
        )
    )
    thread.start()
    engine_has(answerer, lambda engine: engine._cancelled)
    backend.gate.open()
    thread.join(DEADLINE)
    assert row(database, writing.answer).status == "stopped"
    assert text_of(follow(answerer, edited[0])) == ANSWER
    assert everything(database, writing.conversation)[-2:] == [("visitor", "写两首诗"), ("assistant", ANSWER)]


def test_an_edit_sent_twice_is_stored_once(answerer, database):
    first = ask(answerer, ALICE, "写首诗")
    follow(answerer, first)
    for repeated in (False, True):
        turn = answerer.answer(first.conversation, "写两首诗", "edit-1", somebody(), replacing=first.question.id)
        assert turn.repeated is repeated
        follow(answerer, turn)
    assert len(everything(database, first.conversation)) == 4


def test_only_the_last_question_can_be_edited_and_only_its_answer_asked_for_again(answerer, database):
    first = ask(answerer, ALICE, "写首诗")
    follow(answerer, first)
    second = ask(answerer, first.conversation, "再写一首")
    follow(answerer, second)
    with pytest.raises(NotTheLast):
        answerer.edit(first.conversation, first.question.id, "写两首诗", "edit-1", somebody())
    with pytest.raises(NotTheLast):
        answerer.answer(first.conversation, "写两首诗", "edit-1", somebody(), replacing=first.question.id)
    with pytest.raises(NotTheLast):
        answerer.edit(first.conversation, second.answer.id, "写两首诗", "edit-1", somebody())
    for answer in (first.answer.id, second.question.id, 999):
        with pytest.raises(NotTheLast):
            answerer.again(first.conversation, answer, somebody())
    assert len(everything(database, first.conversation)) == 4


def test_another_answer_comes_below_the_first_which_is_not_told_to_the_model(answerer, database, engine, monkeypatch):
    first = ask(answerer, ALICE, "写首诗")
    follow(answerer, first)
    requests = []
    chat = type(engine).chat
    monkeypatch.setattr(type(engine), "chat", lambda self, request: requests.append(request) or chat(self, request))
    answer = answerer.again(first.conversation, first.answer.id, somebody())
    follow(answerer, Turn(first.conversation, first.question, answer, repeated=False))
    assert row(database, first.answer).replaced_by == answer.id
    assert row(database, answer).text == ANSWER
    assert ANSWER not in [message.text for message in requests[0].messages]
    assert requests[0].sampling.temperature > 0
    with pytest.raises(NotTheLast):
        answerer.again(first.conversation, first.answer.id, somebody())
    with database.read() as session:
        told = messages.recent_turns(session, first.conversation.id, before_id=2**31 - 1, limit=50)
    assert [message.id for message in told] == [first.question.id, answer.id]


def test_two_clicks_on_retry_make_one_run(answerer, database, backend, writing):
    stop(answerer, writing)
    finish(answerer, backend, writing)
    backend.gate.hold()

    def click(_number):
        try:
            return answerer.retry(writing.conversation, writing.answer.id, somebody())
        except StillAnswering:
            return None

    with ThreadPoolExecutor(4) as pool:
        assert sum(map(bool, pool.map(click, range(4)))) == 1
    assert text_of(finish(answerer, backend, writing)) == ANSWER


# ---- following --------------------------------------------------------------------------------------------


def well_formed(events):
    """Queued any number of times, Started once, the text, and one end."""
    *before, end = events
    assert isinstance(end, Finished | Failed)
    kinds = [type(event) for event in before]
    shape = [kind for kind, _ in itertools.groupby(kinds)]
    assert shape in ([Queued, Started, Delta], [Started, Delta], [Queued], [])
    assert kinds.count(Started) <= 1
    return True


def test_followers_who_join_before_in_the_middle_and_after_get_the_same_answer(answerer, database, backend, writing):
    with ThreadPoolExecutor(3) as pool:
        before = pool.submit(follow, answerer, writing)
        backend.gate.allow(len("您好，".encode()))
        backend.gate.wait_until_held()
        middle = pool.submit(follow, answerer, writing)
        backend.gate.open()
        followed = [before.result(DEADLINE), middle.result(DEADLINE), follow(answerer, writing)]
    for events in followed:
        assert well_formed(events)
        assert text_of(events) == ANSWER
        assert events[-1].source == "model"
        assert events[-1].finish_reason == "stop"
        assert events[-1].stats == row(database, writing.answer).stats


def test_who_follows_sees_the_text_grow(answerer, backend, writing):
    events = answerer.follow(writing.conversation, writing.answer.id, heartbeat=DEADLINE)
    backend.gate.allow(4)  # two read the prompt, the second of them writes; a character is three tokens
    assert [next(events), next(events)] == [Started("model"), Delta("您")]
    backend.gate.allow(3)
    assert next(events) == Delta("好")
    backend.gate.open()
    assert text_of(events) == ANSWER[2:]


def test_who_waits_in_the_queue_is_told_the_place(answerer, backend, writing, full):
    events = answerer.follow(full.conversation, full.answer.id, heartbeat=DEADLINE)
    backend.gate.allow()
    queued = next(events)
    assert isinstance(queued, Queued)
    assert queued.position == 0
    backend.gate.open()
    rest = list(events)
    assert well_formed([queued, *rest])
    assert text_of(rest) == ANSWER


def test_who_reads_a_question_s_row_finds_its_run_at_once(answerer, backend, monkeypatch):
    start, never = Feed.start, threading.Event()

    def slow_start(feed, run, question_id):
        never.wait(0.1)
        start(feed, run, question_id)

    monkeypatch.setattr(Feed, "start", slow_start)
    backend.gate.hold()
    turn = ask(answerer, ALICE)
    assert turn.answer.id in answerer.feeds.runs(turn.conversation.public_id)


def test_the_last_words_of_a_run_that_ends_while_it_is_read_are_not_lost():
    class Ending(Run):
        """Grows and ends between a look at its text and the next look at it."""

        def __getattribute__(self, name):
            value = super().__getattribute__(name)
            if name == "text" and value == "一":
                self.text, self.outcome = "一二", Finished("model", "stop")
            return value

    changed = threading.Event()
    changed.set()
    events = list(live_events(Ending("c", 1, "一"), changed, DEADLINE))
    assert text_of(events) == "一二"


def test_silence_is_filled_with_heartbeats(answerer, writing):
    events = answerer.follow(writing.conversation, writing.answer.id, heartbeat=0.01)
    assert [next(events) for _ in range(3)] == [Delta("")] * 3
    events.close()


def test_a_follower_who_leaves_does_not_stop_the_run_and_is_forgotten(answerer, database, backend, writing):
    events = answerer.follow(writing.conversation, writing.answer.id, heartbeat=0.01)
    next(events)
    events.close()
    finish(answerer, backend, writing)
    assert row(database, writing.answer).text == ANSWER


def test_an_answer_of_faq_or_rule_is_followed_like_any_other(answerer, database):
    add_entry(database)
    turn = ask(answerer, ALICE, "怎么退货")
    assert follow(answerer, turn) == [Started("faq"), Delta("七天内可以退货。"), Finished("faq", "stop", {})]
    turn = ask(answerer, turn.conversation, "你是谁")
    assert follow(answerer, turn) == [Started("rule"), Delta(turn.answer.text), Finished("rule", "stop", {})]
    assert "测试商店" in turn.answer.text
    assert "byte-model" in turn.answer.text


def test_an_answer_that_failed_says_so_after_its_text(answerer, database, conversation):
    with database.write() as session:
        question = messages.add_question(session, conversation.id, "问", "c1")
        answer = messages.add_answer(
            session,
            conversation_id=conversation.id,
            question_id=question.id,
            source="model",
            status="failed",
            text="一半",
            reason="too_long",
        )
    assert list(answerer.follow(conversation, answer.id)) == [Started("model"), Delta("一半"), Failed("too_long")]
    assert list(answerer.follow(conversation, 999)) == [Failed("interrupted")]
    answer.reason = "a word of another version"
    assert failure_of(answer) == "interrupted"


def test_whoever_watches_a_conversation_learns_of_both_messages(answerer, database, conversation):
    add_entry(database)
    watcher = threading.Event()
    with answerer.feeds.watch(conversation.public_id, watcher) as feed:
        turn = ask(answerer, conversation, "怎么退货")
        assert watcher.is_set()
        assert set(feed.changes(0).messages) == {turn.question.id, turn.answer.id}
        cursor = feed.cursor()
        turn = ask(answerer, conversation, "问模型")
        follow(answerer, turn)
        assert set(feed.changes(cursor).messages) == {turn.question.id, turn.answer.id}
    assert answerer.feeds._feeds == {}


def test_an_answer_whose_process_is_gone_is_not_waited_for(answerer, database, conversation):
    with database.write() as session:
        question = messages.add_question(session, conversation.id, "问", "c1")
        answer = messages.add_answer(
            session,
            conversation_id=conversation.id,
            question_id=question.id,
            source="model",
            status="queued",
            owner="a dead process",
            lease_until=question.created_at,
        )
    assert list(answerer.follow(conversation, answer.id)) == [Failed("interrupted")]


# ---- many at once -----------------------------------------------------------------------------------------


def test_twenty_visitors_at_once_each_get_their_own_answer(database):
    def the_question_itself(prompt: bytes) -> bytes:
        return prompt.rpartition(b"user\n")[2].removesuffix(b"\nassistant\n")

    backend = ByteBackend(the_question_itself, cells=16_384, sequences=16)
    engine = LocalEngine("echo", lambda: backend, max_running=8, max_waiting=64)
    engine.start()
    answerer = Answerer(
        database, engine, ModelSettings("店", max_new_tokens=100, context_tokens=2000), FaqIndex(database)
    )
    with closing(engine), ThreadPoolExecutor(20) as pool:
        engine.wait_until_ready(DEADLINE)

        def visit(number):
            where, seen = Opening(f"visitor-{number}", "page", "zh"), []
            for round_ in range(3):
                text = f"第{round_}问，来自{number}号"
                turn = ask(answerer, where, text)
                seen.append((text, text_of(follow(answerer, turn)), row(database, turn.answer).text))
                where = turn.conversation
            return seen, where

        for seen, conversation in pool.map(visit, range(20)):
            for question, followed, stored in seen:
                assert question == followed == stored
            assert everything(database, conversation) == [
                (role, question) for question, _, _ in seen for role in ("visitor", "assistant")
            ]
    answerer.close(DEADLINE)
    assert not answerer._threads


# ---- nobody takes it all ----------------------------------------------------------------------------------


@pytest.fixture
def roomy(database, backend):
    """An answerer with many places, whose model is held."""
    backend.gate.hold()
    engine = LocalEngine("held", lambda: backend, max_running=4, max_waiting=60)
    engine.start()
    engine.wait_until_ready(DEADLINE)
    answerer = Answerer(database, engine, ModelSettings("店", 20, 2000), FaqIndex(database))
    yield answerer
    backend.gate.open()
    answerer.close(DEADLINE)
    engine.close()


def places_of(answerer, asker):
    """How many questions of one asker are taken before the first is refused."""
    for taken in range(100):
        try:
            answerer.answer(Opening(None, "api", "zh"), "问一个问题", next(client_ids), asker)
        except Busy:
            return taken
    raise AssertionError("never refused")


def test_one_visitor_gets_three_places(roomy):
    assert places_of(roomy, Asker("alice", "office")) == 3
    assert places_of(roomy, Asker("bob", "office")) == 3


def test_one_address_gets_half_of_the_places(roomy):
    assert places_of(roomy, Asker(None, "attacker")) == 32
    assert places_of(roomy, Asker("alice", "elsewhere")) == 3


def test_questions_that_wait_for_the_model_to_be_loaded_count_as_waiting(database):
    loaded = threading.Event()

    def load():
        assert loaded.wait(DEADLINE)
        return ByteBackend(lambda _prompt: ANSWER.encode(), cells=8192)

    engine = LocalEngine("slow", load, max_running=2, max_waiting=3)
    engine.start()
    answerer = Answerer(database, engine, ModelSettings("店", 100, 2000), FaqIndex(database))
    with closing(engine):
        turns = [ask(answerer, Opening(None, "api", "zh")) for _ in range(5)]
        with pytest.raises(Busy):
            ask(answerer, Opening(None, "api", "zh"))
        loaded.set()
        assert [text_of(follow(answerer, turn)) for turn in turns] == [ANSWER] * 5
    answerer.close(DEADLINE)


def test_a_place_is_free_again_when_its_answer_has_ended(roomy, backend):
    alice = Asker("alice", "home")
    assert places_of(roomy, alice) == 3
    backend.gate.open()
    roomy.close(DEADLINE)
    backend.gate.hold()
    assert places_of(roomy, alice) == 3
