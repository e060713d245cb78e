"""Queries about operators. Passwords arrive hashed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select, update

from webchat.storage.tables import Operator, utc_now

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def add(session: Session, name: str, password_hash: str) -> Operator:
    """Add an operator; a name that is taken is a ``Conflict``."""
    operator = Operator(name=name, password_hash=password_hash)
    session.add(operator)
    session.flush()
    return operator


def by_name(session: Session, name: str) -> Operator | None:
    """Find the operator who signs in under this name."""
    return session.scalar(select(Operator).where(Operator.name == name))


def by_id(session: Session, operator_id: int) -> Operator | None:
    """Find the operator whom a session cookie names."""
    return session.scalar(select(Operator).where(Operator.id == operator_id))


def any_exist(session: Session) -> bool:
    """Whether someone can sign in already."""
    return session.scalar(select(Operator.id).limit(1)) is not None


def all_operators(session: Session) -> list[Operator]:
    """List the operators by name."""
    return list(session.scalars(select(Operator).order_by(Operator.name)))


def set_password(session: Session, operator: Operator, password_hash: str) -> None:
    """Change a password and end every session that was opened with the old one."""
    operator.password_hash = password_hash
    operator.session_epoch += 1
    session.flush()


def end_sessions(session: Session, operator_id: int) -> None:
    """End every session of an operator."""
    session.execute(update(Operator).where(Operator.id == operator_id).values(session_epoch=Operator.session_epoch + 1))


def signed_in(session: Session, operator: Operator) -> None:
    """Note the moment of a sign-in."""
    operator.signed_in_at = utc_now()
    session.flush()
