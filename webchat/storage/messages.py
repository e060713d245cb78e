"""Queries about messages, and the life of an answer.

An unfinished answer belongs to one process, its owner, under a lease that the owner renews. What writes such
an answer names the owner in its WHERE and says whether it met the row: a late process changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select, update

from webchat.storage.database import affected_rows
from webchat.storage.tables import (
    RETRYABLE,
    UNFINISHED,
    Conversation,
    Entry,
    FinishReason,
    Message,
    Source,
    Status,
    utc_now,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session

BLOCKED = "block: "  # how the reason of an answer begins that kept a question from FAQ and model
_TOLD: tuple[Status, ...] = ("done", "stopped", "interrupted")  # what the visitor has read, to its end or not


def add_question(
    session: Session,
    conversation_id: int,
    text: str,
    client_id: str | None,
    tags: Sequence[str] = (),
    *,
    reason: str | None = None,
) -> Message:
    """Store what a visitor said; the same ``client_id`` twice in a conversation is a ``Conflict``.

    ``reason`` is why it is here when it was not typed.
    """
    moment = utc_now()
    question = Message(
        conversation_id=conversation_id,
        role="visitor",
        text=text,
        status="done",
        client_id=client_id,
        tags=list(tags) or None,
        reason=reason,
        created_at=moment,
        finished_at=moment,
    )
    session.add(question)
    session.flush()
    return question


def question_with_client_id(session: Session, conversation_id: int, client_id: str) -> Message | None:
    """Find a question that was sent before."""
    return session.scalar(
        select(Message).where(Message.conversation_id == conversation_id, Message.client_id == client_id)
    )


def add_answer(
    session: Session,
    *,
    conversation_id: int,
    question_id: int | None,
    source: Source,
    status: Status,
    text: str = "",
    owner: str | None = None,
    lease_until: datetime | None = None,
    model: str | None = None,
    entry: int | None = None,
    matched: dict[str, Any] | None = None,
    suggested: list[dict[str, Any]] | None = None,
    reason: str | None = None,
    stats: dict[str, Any] | None = None,
    finish_reason: FinishReason | None = None,
) -> Message:
    """Store an answer: a whole one, or a queued or streaming one, which needs its owner and lease.

    ``entry`` is the id of the FAQ entry that answered; if it was removed meanwhile, ``matched`` still tells.
    """
    moment = utc_now()
    answer = Message(
        conversation_id=conversation_id,
        question_id=question_id,
        role="operator" if source == "human" else "assistant",
        source=source,
        status=status,
        text=text,
        run_owner=owner,
        lease_until=lease_until,
        model=model,
        entry_id=_still_there(session, entry),
        matched=matched,
        suggested=suggested or None,
        reason=reason,
        stats=stats,
        finish_reason=finish_reason,
        created_at=moment,
        finished_at=None if status in UNFINISHED else moment,
    )
    session.add(answer)
    session.flush()
    return answer


def say_as_person(session: Session, conversation_id: int, text: str) -> Message:
    """Store what an operator says, as an answer to what the visitor said last."""
    asked = last_question(session, conversation_id)
    return add_answer(
        session,
        conversation_id=conversation_id,
        question_id=asked.id if asked else None,
        source="human",
        status="done",
        finish_reason="stop",
        text=text,
    )


def answer_to(session: Session, question_id: int) -> Message | None:
    """Find the latest answer to a question."""
    query = select(Message).where(Message.question_id == question_id)
    return session.scalar(query.order_by(Message.id.desc()).limit(1))


def get(session: Session, conversation_id: int, message_id: int) -> Message | None:
    """Find a message of this conversation."""
    return session.scalar(select(Message).where(Message.id == message_id, Message.conversation_id == conversation_id))


def thread(session: Session, conversation_id: int, *, limit: int = 200, before_id: int | None = None) -> list[Message]:
    """List the newest messages (older than ``before_id``, when given), oldest first."""
    query = select(Message).where(Message.conversation_id == conversation_id)
    if before_id is not None:
        query = query.where(Message.id < before_id)
    return list(session.scalars(query.order_by(Message.id.desc()).limit(limit)))[::-1]


def newest_id(session: Session, conversation_id: int) -> int | None:
    """The id of what was said last, by whomever; None in an empty conversation."""
    return session.scalar(select(func.max(Message.id)).where(Message.conversation_id == conversation_id))


def some(session: Session, conversation_id: int, message_ids: Collection[int]) -> list[Message]:
    """Find these messages of a conversation, oldest first."""
    query = select(Message).where(Message.conversation_id == conversation_id, Message.id.in_(message_ids))
    return list(session.scalars(query.order_by(Message.id)))


def newest_of(session: Session, conversation_ids: Sequence[int], limit: int) -> dict[int, list[Message]]:
    """List the newest messages of each of these conversations, oldest first, in one query."""
    place = func.row_number().over(partition_by=Message.conversation_id, order_by=Message.id.desc()).label("place")
    numbered = select(Message.id, place).where(Message.conversation_id.in_(conversation_ids)).subquery()
    query = select(Message).join(numbered, numbered.c.id == Message.id).where(numbered.c.place <= limit)
    found: dict[int, list[Message]] = {}
    for message in session.scalars(query.order_by(Message.id)):
        found.setdefault(message.conversation_id, []).append(message)
    return found


def everything(session: Session, conversation_id: int) -> list[Message]:
    """List all that was said, oldest first."""
    query = select(Message).where(Message.conversation_id == conversation_id)
    return list(session.scalars(query.order_by(Message.id)))


def recent_turns(session: Session, conversation_id: int, *, before_id: int, limit: int) -> list[Message]:
    """List the newest messages before one that a prompt may repeat, oldest first: said, not empty, not blocked."""
    blocked = select(Message.question_id).where(
        Message.conversation_id == conversation_id,
        Message.reason.startswith(BLOCKED),
        Message.question_id.is_not(None),
    )
    query = select(Message).where(
        Message.id.not_in(blocked),
        Message.replaced_by.is_(None),
        func.coalesce(Message.reason, "").not_like(f"{BLOCKED}%"),
        Message.conversation_id == conversation_id,
        Message.id < before_id,
        Message.status.in_(_TOLD),
        Message.text != "",
    )
    return list(session.scalars(query.order_by(Message.id.desc()).limit(limit)))[::-1]


def is_last_question(session: Session, conversation_id: int, message_id: int) -> bool:
    """Whether this is the question last asked in a conversation, and still stands."""
    last = last_question(session, conversation_id)
    return last is not None and last.id == message_id


def last_question(session: Session, conversation_id: int) -> Message | None:
    """Find what the visitor said last, as far as it still stands."""
    query = select(Message).where(
        Message.conversation_id == conversation_id, Message.role == "visitor", Message.replaced_by.is_(None)
    )
    return session.scalar(query.order_by(Message.id.desc()).limit(1))


def replace(session: Session, conversation_id: int, *, from_id: int, by: int) -> tuple[int, ...]:
    """Note that the messages from ``from_id`` on were replaced by message ``by``, the next one; their ids."""
    standing = (
        Message.conversation_id == conversation_id,
        Message.id >= from_id,
        Message.id < by,
        Message.replaced_by.is_(None),
    )
    replaced = tuple(session.scalars(select(Message.id).where(*standing)))
    session.execute(update(Message).where(Message.id.in_(replaced)).values(replaced_by=by))
    return replaced


def asked_before(session: Session, conversation_id: int, *, before_id: int | None, limit: int) -> list[str]:
    """List what the visitor said last, oldest first; before one message, when it is given."""
    query = select(Message.text).where(
        Message.conversation_id == conversation_id, Message.role == "visitor", Message.replaced_by.is_(None)
    )
    if before_id is not None:
        query = query.where(Message.id < before_id)
    return list(session.scalars(query.order_by(Message.id.desc()).limit(limit)))[::-1]


def unfinished(session: Session, conversation_id: int) -> list[Message]:
    """List the answers that are waiting or being written, oldest first."""
    query = select(Message).where(Message.conversation_id == conversation_id, Message.status.in_(UNFINISHED))
    return list(session.scalars(query.order_by(Message.id)))


def save_partial(session: Session, message_id: int, owner: str, text: str) -> bool:
    """Store what was written so far; False when the answer is no longer this owner's."""
    statement = update(Message).where(*_run(message_id, owner)).values(status="streaming", text=text)
    return affected_rows(session, statement) == 1


def finish(
    session: Session,
    message_id: int,
    owner: str,
    *,
    text: str,
    status: Status,
    finish_reason: FinishReason | None,
    stats: dict[str, Any] | None,
    reason: str | None = None,
    source: Source = "model",
    entry: int | None = None,
    matched: dict[str, Any] | None = None,
) -> bool:
    """Store an answer's end, and why it failed or ended early; False when the answer is no longer this owner's.

    ``entry`` and ``matched`` as for ``add_answer``: one that was to be made anew may have got an official answer.
    """
    statement = (
        update(Message)
        .where(*_run(message_id, owner))
        .values(
            text=text,
            source=source,
            status=status,
            finish_reason=finish_reason,
            stats=stats,
            entry_id=_still_there(session, entry),
            matched=matched,
            reason=func.coalesce(reason, Message.reason),
            run_owner=None,
            lease_until=None,
            finished_at=utc_now(),
        )
    )
    return affected_rows(session, statement) == 1


def restart(
    session: Session,
    message_id: int,
    owner: str,
    lease_until: datetime,
    model: str,
    *,
    suggested: list[dict[str, Any]] | None = None,
) -> bool:
    """Queue a stopped, interrupted or failed answer once more, empty; False when there is none (any more)."""
    statement = (
        update(Message)
        .where(Message.id == message_id, Message.role == "assistant", Message.status.in_(RETRYABLE))
        .values(
            text="",
            source="model",
            status="queued",
            finish_reason=None,
            reason=None,
            stats=None,
            model=model,
            suggested=suggested or None,
            run_owner=owner,
            lease_until=lease_until,
            finished_at=None,
        )
    )
    return affected_rows(session, statement) == 1


def stop_all(session: Session, conversation_id: int) -> tuple[int, ...]:
    """Stop what is waiting or being written in a conversation, whoever writes it, with the text it had; the ids."""
    stopped = unfinished(session, conversation_id)
    for answer in stopped:
        answer.status, answer.finish_reason, answer.finished_at = "stopped", "stopped", utc_now()
        answer.run_owner = answer.lease_until = None
    session.flush()
    return tuple(answer.id for answer in stopped)


def change_reason(session: Session, conversation_id: int, old: str, new: str) -> tuple[int, ...]:
    """Have the messages that are here for one reason be here for another; their ids."""
    query = select(Message.id).where(Message.conversation_id == conversation_id, Message.reason == old)
    changed = tuple(session.scalars(query))
    session.execute(update(Message).where(Message.id.in_(changed)).values(reason=new))
    return changed


def renew_leases(session: Session, owner: str, lease_until: datetime) -> int:
    """Prolong all of an owner's unfinished answers; returns how many there are."""
    statement = update(Message).where(Message.lease_until.is_not(None), Message.run_owner == owner)
    return affected_rows(session, statement.values(lease_until=lease_until))


def interrupt_expired(session: Session, now: datetime) -> list[tuple[str, int]]:
    """Mark the answers of dead processes as interrupted, with the text they had.

    Returns:
        The public id of the conversation and the id of the message, for each.
    """
    query = (
        select(Message, Conversation.public_id)
        .join(Conversation, Conversation.id == Message.conversation_id)
        .where(Message.lease_until < now)
        .order_by(Message.id)
        .with_for_update(of=Message)  # of two processes that look at once, the second finds nothing left
    )
    interrupted = []
    for message, public_id in session.execute(query):
        message.status = "interrupted"
        message.run_owner = message.lease_until = None
        message.finished_at = now
        interrupted.append((public_id, message.id))
    session.flush()
    return interrupted


def held_by_others(session: Session, owner: str) -> list[datetime]:
    """List until when other processes hold unfinished answers, soonest first."""
    query = select(Message.lease_until).where(Message.lease_until.is_not(None), Message.run_owner != owner)
    return [lease for lease in session.scalars(query.order_by(Message.lease_until)) if lease]


def _run(message_id: int, owner: str) -> tuple[ColumnElement[bool], ...]:
    return (Message.id == message_id, Message.run_owner == owner, Message.status.in_(UNFINISHED))


def _still_there(session: Session, entry_id: int | None) -> int | None:
    if entry_id is None:
        return None
    # The lock keeps an operator from removing the entry between this look and the insert.
    query = select(Entry.id).where(Entry.id == entry_id).with_for_update(read=True, key_share=True)
    return session.scalar(query)
