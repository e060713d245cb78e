"""Queries about what the FAQ is checked with: what visitors really asked, and what entries must and must not answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.orm import aliased

from webchat.storage.tables import Case, Message, Phrasing

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy.orm import Session


class RealQuestion(NamedTuple):
    """What a visitor typed, what they had asked before, and the entry that answered, if one did."""

    text: str
    previous: str | None
    entry_id: int | None
    answered: str  # the entry's question as it was; empty when no entry answered


class Required(NamedTuple):
    """A question that an entry must answer, or must not."""

    entry_id: int
    text: str
    must_hit: bool


def real_questions(session: Session, limit: int) -> list[RealQuestion]:
    """List what visitors typed last and got an answer to, newest first; not what they chose from suggestions."""
    question, answer, earlier = aliased(Message), aliased(Message), aliased(Message)
    previous = (
        select(earlier.text)
        .where(earlier.conversation_id == question.conversation_id, earlier.role == "visitor", earlier.id < question.id)
        .order_by(earlier.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    left_to_a_person = answer.reason.startswith("policy:")  # other rules go before the FAQ
    query = (
        select(question.text, previous, answer.source, answer.entry_id, answer.matched)
        .join(answer, answer.question_id == question.id)
        .where(question.role == "visitor", question.reason.is_(None), or_(answer.source != "rule", left_to_a_person))
        .order_by(question.id.desc())
        .limit(limit)
    )
    found = []
    for text, before, source, entry_id, matched in session.execute(query):
        by_entry = source == "faq"
        title = (matched or {}).get("question", "") if by_entry else ""
        found.append(RealQuestion(text, before, entry_id if by_entry else None, title))
    return found


def required(session: Session, entries: Collection[int]) -> list[Required]:
    """List what these entries must and must not answer."""
    query = select(Case.entry_id, Case.text, Case.must_hit).order_by(Case.id)
    return [Required(*row) for row in session.execute(query) if row.entry_id in entries]


def titles(session: Session) -> dict[int, str]:
    """Find by which question each entry is shown."""
    query = select(Phrasing.entry_id, Phrasing.text).where(Phrasing.position == 0)
    return {row.entry_id: row.text for row in session.execute(query)}
