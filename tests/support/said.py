"""Conversations as they are stored after an answer, without waiting for one to be written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from webchat.storage import conversations, faq_hits, feedback, messages
from webchat.storage.faq_hits import NewHit

if TYPE_CHECKING:
    from webchat.storage.database import Database
    from webchat.storage.tables import Message

REFUSED = {"source": "rule", "reason": "policy: careful"}


def said(
    database: Database,
    question: str,
    answer: str = "可以的。",
    *,
    visitor: str = "alice",
    suggested: tuple[int, ...] = (),
    **columns: Any,
) -> Message:
    """A visitor's question in a conversation of its own, with the answer's row, which is returned."""
    with database.write() as session:
        conversation = conversations.open_conversation(
            session, visitor_id=visitor, channel="page", language="zh", title=question
        )
        asked = messages.add_question(session, conversation.id, question, f"c-{conversation.id}")
        row = {"source": "model", "status": "done", "text": answer} | columns
        offered = [{"entry": entry, "question": "?"} for entry in suggested]
        stored = messages.add_answer(
            session, conversation_id=conversation.id, question_id=asked.id, suggested=offered, **row
        )
        faq_hits.record(session, stored.id, question, [NewHit(entry, "suggest", "suggested") for entry in suggested])
        return stored


def chose(database: Database, answer: Message, entry: int) -> None:
    """The visitor clicked this suggestion."""
    with database.write() as session:
        faq_hits.mark_chosen(session, answer.id, entry)


def not_what_was_asked(database: Database, answer: Message, visitor: str = "alice") -> None:
    """The visitor's 👎: this is not what I asked."""
    with database.write() as session:
        feedback.give(session, answer, visitor, "down", reason="off_topic")
