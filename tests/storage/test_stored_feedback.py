"""Hits and feedback: what is kept of how the FAQ answers, on both databases."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from webchat.storage import conversations, faq, faq_hits, feedback, messages
from webchat.storage.faq_hits import NewHit


@pytest.fixture
def answered(database):
    """A conversation of Alice whose question an entry has answered: the entry and the answer."""
    with database.write() as session:
        entry = faq.create(session, phrasings=["怎么退货"], answer="七天内。")
        conversation = conversations.open_conversation(
            session, visitor_id="alice", channel="page", language="zh", title="退货"
        )
        question = messages.add_question(session, conversation.id, "退货", "c1")
        answer = messages.add_answer(
            session,
            conversation_id=conversation.id,
            question_id=question.id,
            source="faq",
            status="done",
            text="七天内。",
            entry=entry.id,
            suggested=[{"entry": entry.id, "question": "怎么退货"}],
        )
    return entry, answer


def test_suggestions_are_kept_with_the_answer_and_none_is_no_list(database, answered):
    entry, answer = answered
    with database.read() as session:
        assert messages.get(session, answer.conversation_id, answer.id).suggested == [
            {"entry": entry.id, "question": "怎么退货"}
        ]


def test_hits_of_entries_that_were_removed_meanwhile_are_left_out(database, answered):
    entry, answer = answered
    hits = [NewHit(entry.id, "answer", "matched", 0.7, "怎么退货"), NewHit(entry.id + 1, "suggest", "suggested")]
    with database.write() as session:
        faq_hits.record(session, answer.id, "退货", hits)
        faq_hits.mark_chosen(session, answer.id, entry.id)
    with database.read() as session:
        (hit,) = faq_hits.of_message(session, answer.id)
    assert (hit.entry_id, hit.band, hit.how, hit.phrasing, hit.chosen) == (
        entry.id,
        "answer",
        "matched",
        "怎么退货",
        True,
    )
    assert hit.score == pytest.approx(0.7)


def test_a_removed_entry_takes_its_hits_along_and_leaves_the_feedback(database, answered):
    entry, answer = answered
    with database.write() as session:
        faq_hits.record(session, answer.id, "退货", [NewHit(entry.id, "answer", "exact")])
        feedback.give(session, answer, "alice", "down", reason="off_topic", comment="是换货")
    with database.write() as session:
        faq.remove(session, faq.get(session, entry.id))
    with database.read() as session:
        assert faq_hits.of_message(session, answer.id) == []
        kept = feedback.of_messages(session, "alice", [answer.id])[answer.id]
        assert (kept.entry_id, kept.question, kept.comment) == (None, "退货", "是换货")


def test_a_visitor_has_one_vote_on_a_message(database, answered):
    _, answer = answered
    with database.write() as session:
        feedback.give(session, answer, "alice", "down", reason="wrong", comment="过时")
        first = feedback.of_messages(session, "alice", [answer.id])[answer.id]
        feedback.give(session, answer, "alice", "up")
        again = feedback.of_messages(session, "alice", [answer.id])[answer.id]
        assert again.id == first.id
        assert (again.vote, again.reason, again.comment) == ("up", None, "")
        assert feedback.of_messages(session, "bob", [answer.id]) == {}
        assert feedback.of_messages(session, None, [answer.id]) == {}
        feedback.withdraw(session, answer.id, "bob")
        assert feedback.of_messages(session, "alice", [answer.id])
        feedback.withdraw(session, answer.id, "alice")
        assert feedback.of_messages(session, "alice", [answer.id]) == {}


@pytest.mark.postgres
def test_two_clicks_at_once_are_one_vote(postgres_database):
    with postgres_database.write() as session:
        conversation = conversations.open_conversation(
            session, visitor_id="alice", channel="page", language="zh", title="hi"
        )
        question = messages.add_question(session, conversation.id, "hi", "c1")
        answer = messages.add_answer(
            session, conversation_id=conversation.id, question_id=question.id, source="rule", status="done", text="hi"
        )

    def click(vote):
        with postgres_database.write() as session:
            feedback.give(session, answer, "alice", vote)

    with ThreadPoolExecutor(8) as clicks:
        list(clicks.map(click, ["up", "down"] * 20))
    with postgres_database.read() as session:
        assert len(feedback.of_messages(session, "alice", [answer.id])) == 1
