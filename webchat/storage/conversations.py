"""Queries about conversations. Every function takes the session first and leaves the commit to its caller."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select, update

from webchat.storage.database import affected_rows
from webchat.storage.tables import Channel, Conversation, Language, Message, utc_now

if TYPE_CHECKING:
    from datetime import datetime

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
    page: tuple[str, str] | None = None,
) -> Conversation:
    """Open a conversation, titled with the beginning of its first question.

    ``client_id`` is the first question's: the same visitor opening with it again is a ``Conflict``.
    ``page`` is the address and the title of the shop's page on which that was asked.
    """
    conversation = Conversation(
        visitor_id=visitor_id,
        channel=channel,
        language=language,
        title=" ".join(title.split())[:_TITLE_CHARS],
        opening_client_id=client_id,
        page_url=page[0] if page else None,
        page_title=page[1] if page else None,
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


def latest_in_widget(session: Session, visitor_id: str) -> Conversation | None:
    """Find the conversation in which a visitor has last spoken in the widget."""
    newest_first = (Conversation.active_at.desc(), Conversation.id.desc())
    query = select(Conversation).where(Conversation.visitor_id == visitor_id, Conversation.channel == "widget")
    return session.scalar(query.order_by(*newest_first).limit(1))


def recent_of_visitor(session: Session, visitor_id: str, limit: int = 50) -> list[Conversation]:
    """List a visitor's conversations, the one last spoken in first."""
    newest_first = (Conversation.active_at.desc(), Conversation.id.desc())
    query = select(Conversation).where(Conversation.visitor_id == visitor_id)
    return list(session.scalars(query.order_by(*newest_first).limit(limit)))


def search_of_visitor(
    session: Session, visitor_id: str, text: str, *, limit: int, offset: int = 0
) -> list[Conversation]:
    """List a visitor's conversations in which a text was said, the one last spoken in first; all of them for none."""
    query = select(Conversation).where(Conversation.visitor_id == visitor_id)
    if text:
        said = select(Message.conversation_id).where(
            Message.conversation_id == Conversation.id, Message.text.icontains(text, autoescape=True)
        )
        query = query.where(said.exists())
    newest_first = (Conversation.active_at.desc(), Conversation.id.desc())
    return list(session.scalars(query.order_by(*newest_first).limit(limit).offset(offset)))


def with_messages(session: Session, visitor_id: str) -> list[tuple[Conversation, list[Message]]]:
    """All that a visitor and the shop said to each other, oldest conversation first, in one query."""
    query = (
        select(Conversation, Message)
        .join(Message, Message.conversation_id == Conversation.id)
        .where(Conversation.visitor_id == visitor_id)
        .order_by(Conversation.id, Message.id)
    )
    said: dict[int, tuple[Conversation, list[Message]]] = {}
    for conversation, message in session.execute(query):
        said.setdefault(conversation.id, (conversation, []))[1].append(message)
    return list(said.values())


def remove(session: Session, conversation_id: int) -> None:
    """Delete a conversation with everything that hangs on it."""
    session.execute(delete(Conversation).where(Conversation.id == conversation_id))


def touch(session: Session, conversation_id: int) -> None:
    """Note that something was just said."""
    session.execute(update(Conversation).where(Conversation.id == conversation_id).values(active_at=utc_now()))


def held_by(session: Session, conversation_id: int) -> tuple[int, datetime] | None:
    """The id of the operator who has taken a conversation, and when they were last there."""
    query = select(Conversation.operator_id, Conversation.operator_seen_at).where(
        Conversation.id == conversation_id, Conversation.operator_id.is_not(None)
    )
    found = session.execute(query).first()
    return (found[0], found[1]) if found and found[0] and found[1] else None


def hold(session: Session, conversation_id: int, operator_id: int, *, only_holder: bool = False) -> None:
    """Give a conversation to an operator who is there now; ``only_holder``: if it is theirs already."""
    statement = update(Conversation).where(Conversation.id == conversation_id)
    if only_holder:
        statement = statement.where(Conversation.operator_id == operator_id)
    session.execute(statement.values(operator_id=operator_id, operator_seen_at=utc_now()))


def let_go(session: Session, conversation_id: int) -> bool:
    """Take a conversation from its operator; False when nobody had it."""
    held = update(Conversation).where(Conversation.id == conversation_id, Conversation.operator_id.is_not(None))
    return affected_rows(session, held.values(operator_id=None, operator_seen_at=None)) == 1


def latest(session: Session, *, with_person: bool, limit: int, offset: int = 0) -> list[Conversation]:
    """List everybody's conversations, or those that operators have taken, the one last spoken in first."""
    query = select(Conversation).order_by(Conversation.active_at.desc(), Conversation.id.desc())
    if with_person:
        query = query.where(Conversation.operator_id.is_not(None))
    return list(session.scalars(query.limit(limit).offset(offset)))


def count_unanswered(session: Session) -> int:
    """How many conversations that operators have taken end with the visitor's words."""
    role_of_last = (
        select(Message.role)
        .where(Message.conversation_id == Conversation.id)
        .order_by(Message.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    query = select(func.count()).select_from(Conversation)
    query = query.where(Conversation.operator_id.is_not(None), role_of_last == "visitor")
    return session.scalar(query) or 0


def by_id(session: Session, conversation_id: int) -> Conversation | None:
    """Find a conversation by its row's number, as operators' pages name it."""
    return session.scalar(select(Conversation).where(Conversation.id == conversation_id))
