"""Queries about tickets: visitors who want a person, for operators to get back to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import func, select

from webchat.storage.tables import Conversation, Ticket, utc_now

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from webchat.storage.tables import TicketStatus


def add(session: Session, conversation_id: int, client_id: str, *, what: str, contact: str) -> Ticket:
    """Store a visitor's wish; the same ``client_id`` twice is a ``Conflict``."""
    ticket = Ticket(conversation_id=conversation_id, client_id=client_id, what=what, contact=contact)
    session.add(ticket)
    session.flush()
    return ticket


def with_client_id(session: Session, client_id: str) -> tuple[Ticket, Conversation] | None:
    """Find a ticket that was sent before, and its conversation."""
    query = select(Ticket, Conversation).join(Conversation, Conversation.id == Ticket.conversation_id)
    found = session.execute(query.where(Ticket.client_id == client_id)).first()
    return found and (found[0], found[1])


def with_conversation(session: Session, ticket_id: int) -> tuple[Ticket, Conversation] | None:
    """Find a ticket and its conversation."""
    query = select(Ticket, Conversation).join(Conversation, Conversation.id == Ticket.conversation_id)
    found = session.execute(query.where(Ticket.id == ticket_id)).first()
    return found and (found[0], found[1])


def locked(session: Session, ticket_id: int) -> Ticket | None:
    """Load a ticket that no other transaction can change until this one ends."""
    return session.get(Ticket, ticket_id, with_for_update=True)


def listed(
    session: Session, status: TicketStatus, *, limit: int, offset: int = 0
) -> tuple[list[tuple[Ticket, Conversation]], int]:
    """List tickets with their conversations, open ones oldest first and closed ones newest first; and how many."""
    total = session.scalar(select(func.count()).select_from(Ticket).where(Ticket.status == status)) or 0
    order = Ticket.id.asc() if status == "open" else Ticket.closed_at.desc()
    query = select(Ticket, Conversation).join(Conversation, Conversation.id == Ticket.conversation_id)
    query = query.where(Ticket.status == status).order_by(order).limit(limit).offset(offset)
    return [(ticket, conversation) for ticket, conversation in session.execute(query)], total


def count_open(session: Session) -> int:
    """How many wait."""
    return session.scalar(select(func.count()).select_from(Ticket).where(Ticket.status == "open")) or 0


def close(session: Session, ticket: Ticket, operator_name: str) -> None:
    """Note that an operator has dealt with a ticket."""
    ticket.status, ticket.closed_at, ticket.closed_by = "closed", utc_now(), operator_name
    session.flush()


def reopen(session: Session, ticket: Ticket) -> None:
    """Let a ticket wait again."""
    ticket.status, ticket.closed_at, ticket.closed_by = "open", None, None
    session.flush()
