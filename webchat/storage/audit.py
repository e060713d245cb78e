"""The record of what operators did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from webchat.storage.tables import AuditRecord

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

AT_THE_TERMINAL = "(command line)"  # stands where an operator's name would; no name can be this one


def record(session: Session, operator_name: str, action: str, subject: str, **detail: Any) -> None:
    """Note what was done, in the transaction that does it."""
    session.add(AuditRecord(operator_name=operator_name, action=action, subject=subject, detail=detail))
    session.flush()


def recent(session: Session, limit: int) -> list[AuditRecord]:
    """List the latest records, newest first."""
    return list(session.scalars(select(AuditRecord).order_by(AuditRecord.id.desc()).limit(limit)))
