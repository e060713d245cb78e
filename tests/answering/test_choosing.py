"""Bands in the answerer: what is suggested beside the model, and what a choice does to it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from support.askers import somebody
from support.backends import DEADLINE

from webchat.answering.choosing import NoLongerTrue, NotSuggested
from webchat.answering.events import Suggested
from webchat.answering.faq.index import Suggestion
from webchat.answering.pipeline import Opening
from webchat.storage import answer_policy, faq, faq_hits, messages
from webchat.storage.answer_policy import AnswerPolicy

ALICE = Opening("alice", "page", "zh")
UNSURE = "退货要怎么办理"


@pytest.fixture
def entry(database):
    with database.write() as session:
        return faq.create(session, phrasings=["怎么退货"], answer="七天内可以退货。").id


@pytest.fixture
def unsure(answerer, backend, database, entry):
    """A question whose answer the model is held at, with a suggestion beside it."""
    with database.write() as session:
        answer_policy.save(session, AnswerPolicy(mode="open"))  # else a question about returns is not the model's
    backend.gate.hold()
    turn = answerer.answer(ALICE, UNSURE, "client-unsure", somebody())
    backend.gate.wait_until_held()
    return turn


def events_of(answerer, turn):
    return list(answerer.follow(turn.conversation, turn.answer.id, heartbeat=DEADLINE))


def test_the_suggestion_is_told_before_the_answer_while_it_is_written_and_later(answerer, backend, unsure, entry):
    backend.gate.open()
    offered = Suggested((Suggestion(entry, "怎么退货"),))
    assert events_of(answerer, unsure)[0] == offered
    assert events_of(answerer, unsure)[0] == offered


def test_what_nobody_knows_suggests_nothing(answerer, entry):
    turn = answerer.answer(ALICE, "讲个笑话吧", "client-joke", somebody())
    assert (turn.answer.suggested, turn.answer.reason) == (None, "no entry")
    assert not any(isinstance(event, Suggested) for event in events_of(answerer, turn))


def test_what_was_just_told_is_not_suggested_once_more(answerer, entry):
    first = answerer.answer(ALICE, "怎么退货", "client-first", somebody())
    after = answerer.answer(first.conversation, "今晚的月亮很圆", "client-moon", somebody())
    assert (first.answer.source, after.answer.suggested) == ("faq", None)


def test_a_rule_suggests_nothing_and_hits_nothing(answerer, database, entry):
    turn = answerer.answer(ALICE, "今天天气怎么样？", "client-weather", somebody())
    with database.read() as session:
        assert faq_hits.of_message(session, turn.answer.id) == []
    assert turn.answer.suggested is None


def test_a_choice_ends_the_models_answer_and_frees_its_place(answerer, backend, unsure, entry, engine):
    chosen = answerer.choose(unsure.conversation, unsure.answer.id, entry)
    assert (chosen.answer.text, chosen.answer.source, chosen.repeated) == ("七天内可以退货。", "faq", False)
    backend.gate.open()
    assert events_of(answerer, unsure)[-1].finish_reason == "stopped"
    assert not engine.stats().running


def test_two_clicks_at_once_are_one_turn(answerer, database, unsure, entry):
    with ThreadPoolExecutor(2) as clicks:
        both = list(clicks.map(lambda _: answerer.choose(unsure.conversation, unsure.answer.id, entry), range(2)))
    assert sorted(turn.repeated for turn in both) == [False, True]
    assert both[0].answer.id == both[1].answer.id
    with database.read() as session:
        assert len(messages.everything(session, unsure.conversation.id)) == 4
        assert faq.get(session, entry).hits == 1


def test_another_entry_cannot_be_chosen_nor_one_that_is_gone(answerer, database, unsure, entry):
    with pytest.raises(NotSuggested):
        answerer.choose(unsure.conversation, unsure.answer.id, entry + 1)
    with pytest.raises(NotSuggested):
        answerer.choose(unsure.conversation, unsure.question.id, entry)
    with database.write() as session:
        faq.set_status(session, faq.get(session, entry), "disabled")
    with pytest.raises(NoLongerTrue):
        answerer.choose(unsure.conversation, unsure.answer.id, entry)
    with database.read() as session:
        assert not faq_hits.of_message(session, unsure.answer.id)[0].chosen


def test_a_question_may_lean_on_the_one_before_it(answerer, database):
    with database.write() as session:
        for question in ("退货运费谁出", "退货要多久", "换货运费谁出", "换货要多久"):
            faq.create(session, phrasings=[question], answer=f"关于{question}。")
    first = answerer.answer(ALICE, "退货运费谁出", "client-first", somebody())
    after = answerer.answer(first.conversation, "那换货呢", "client-after", somebody())
    alone = answerer.answer(Opening("bob", "page", "zh"), "那换货呢", "client-alone", somebody())
    assert (after.answer.source, after.answer.text) == ("faq", "关于换货运费谁出。")
    assert alone.answer.source == "rule"
    assert {kept["question"] for kept in alone.answer.suggested[:2]} == {"换货运费谁出", "换货要多久"}


@pytest.mark.parametrize("question", ["写首怎么退货的诗", "我刚才说的订单号是多少", "what is the capital of France"])
def test_what_asks_for_no_entry_is_offered_none(answerer, entry, question):
    answer = answerer.answer(ALICE, question, "client-other", somebody()).answer
    assert (answer.source, answer.suggested) == ("model", None)


def test_a_refused_question_keeps_its_suggestions(answerer, entry):
    answer = answerer.answer(ALICE, UNSURE, "client-refused", somebody()).answer
    assert (answer.source, answer.reason) == ("rule", "policy: careful")
    assert [kept["entry"] for kept in answer.suggested] == [entry]
