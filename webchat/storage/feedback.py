"""Queries about feedback: what visitors think of answers. One vote a visitor and message; it can be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, select

from webchat.storage.tables import Feedback, Message, Reason, Vote, utc_now

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session


def give(
    session: Session,
    answer: Message,
    visitor_id: str,
    vote: Vote,
    *,
    reason: Reason | None = None,
    comment: str = "",
) -> Feedback:
    """Store a visitor's vote on an answer, in place of the one before."""
    # Of two clicks at once the second waits here, and sees the first.
    session.execute(select(Message.id).where(Message.id == answer.id).with_for_update())
    before = select(Feedback).where(Feedback.message_id == answer.id, Feedback.visitor_id == visitor_id)
    given = session.scalar(before)
    if given is None:
        asked = select(Message.text).where(Message.id == answer.question_id)
        given = Feedback(
            message_id=answer.id,
            visitor_id=visitor_id,
            entry_id=answer.entry_id,
            question=session.scalar(asked) or "",
        )
        session.add(given)
    given.vote, given.reason, given.comment, given.at = vote, reason, comment, utc_now()
    session.flush()
    return given


def withdraw(session: Session, message_id: int, visitor_id: str) -> None:
    """Remove a visitor's vote on a message, if there is one."""
    session.execute(delete(Feedback).where(Feedback.message_id == message_id, Feedback.visitor_id == visitor_id))


def of_messages(session: Session, visitor_id: str | None, message_ids: Collection[int]) -> dict[int, Feedback]:
    """Find what a visitor thinks of these messages, by message id."""
    if visitor_id is None or not message_ids:
        return {}
    query = select(Feedback).where(Feedback.visitor_id == visitor_id, Feedback.message_id.in_(message_ids))
    return {given.message_id: given for given in session.scalars(query)}
