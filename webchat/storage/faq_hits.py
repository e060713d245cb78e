"""Queries about hits: which entries answered or were suggested to which question, and which of them were chosen.

A chosen hit says that its question asks for its entry; a 👎 "not what I asked" says that it does not (``feedback``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import select, update

from webchat.storage.tables import Band, Entry, FaqHit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class NewHit:
    """An entry that a question has met. ``score`` and ``phrasing`` are the matcher's, where it told."""

    entry_id: int
    band: Band
    how: str
    score: float | None = None
    phrasing: str | None = None


def record(session: Session, message_id: int, question: str, hits: Sequence[NewHit]) -> None:
    """Store what a question has met, beside its answer; entries that were removed meanwhile are left out."""
    if not hits:
        return
    wanted = select(Entry.id).where(Entry.id.in_([hit.entry_id for hit in hits]))
    # The lock keeps an operator from removing an entry between this look and the insert.
    there = set(session.scalars(wanted.with_for_update(read=True, key_share=True)))
    session.add_all(
        FaqHit(
            message_id=message_id,
            entry_id=hit.entry_id,
            question=question,
            band=hit.band,
            how=hit.how,
            score=hit.score,
            phrasing=hit.phrasing,
        )
        for hit in hits
        if hit.entry_id in there
    )
    session.flush()


def mark_chosen(session: Session, message_id: int, entry_id: int) -> None:
    """Note that the visitor chose an entry that was suggested with this message."""
    of_message = update(FaqHit).where(FaqHit.message_id == message_id, FaqHit.entry_id == entry_id)
    session.execute(of_message.values(chosen=True))


def of_message(session: Session, message_id: int) -> list[FaqHit]:
    """List what was found for the question that this message answers, likeliest first."""
    return list(session.scalars(select(FaqHit).where(FaqHit.message_id == message_id).order_by(FaqHit.id)))
