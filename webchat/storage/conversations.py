"""Queries about conversations. Every function takes the session first and leaves the commit to its caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from webchat.storage.tables import Channel, Conversation, Language, utc_now

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_TITLE_CHARS = 60


def open_conversation(
    session: Session,
    *,
    visitor_id: str | None,
    channel: Channel,
    language: Language,
    title: str,
    client_id: str | None = None,
) -> Conversation:
    """Open a conversation, titled with the beginning of its first question.

    ``client_id`` is the first question's: the same visitor opening with it again is a ``Conflict``.
    """
    conversation = Conversation(
        visitor_id=visitor_id,
        channel=channel,
        language=language,
        title=" ".join(title.split())[:_TITLE_CHARS],
        opening_client_id=client_id,
    )
    session.add(conversation)
    session.flush()
    return conversation


def by_public_id(session: Session, public_id: str) -> Conversation | None:
    """Find the conversation of an address; what no public id can hold, such as a NUL, finds none."""
    if not public_id.isascii() or "\0" in public_id:
        return None
    return session.scalar(select(Conversation).where(Conversation.public_id == public_id))


def opened_with(session: Session, visitor_id: str, client_id: str) -> Conversation | None:
    """Find the conversation that this visitor's question, sent before, has opened."""
    return session.scalar(
        select(Conversation).where(Conversation.visitor_id == visitor_id, Conversation.opening_client_id == client_id)
    )


def recent_of_visitor(session: Session, visitor_id: str, limit: int = 50) -> list[Conversation]:
    """List a visitor's conversations, the one last spoken in first."""
    newest_first = (Conversation.active_at.desc(), Conversation.id.desc())
    query = select(Conversation).where(Conversation.visitor_id == visitor_id)
    return list(session.scalars(query.order_by(*newest_first).limit(limit)))


def touch(session: Session, conversation_id: int) -> None:
    """Note that something was just said."""
    session.execute(update(Conversation).where(Conversation.id == conversation_id).values(active_at=utc_now()))
