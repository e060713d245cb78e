"""Values that change while the site runs, by name. What is fixed at the start is in ``webchat.config``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import delete

from webchat.storage.database import affected_rows
from webchat.storage.tables import Setting

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


def get(session: Session, key: str, default: Any = None) -> Any:
    """Read a value."""
    setting = session.get(Setting, key)
    return default if setting is None else setting.value


def put(session: Session, key: str, value: Any) -> None:
    """Store a value that JSON can hold."""
    session.merge(Setting(key=key, value=value))
    session.flush()


def lock(session: Session, key: str) -> None:
    """Keep others from changing a value until this transaction ends; one that is not there yet is not held."""
    session.get(Setting, key, with_for_update=True, populate_existing=True)


def remove(session: Session, key: str) -> bool:
    """Remove a value; of several who try at once one is told True, so that a one-time token works once."""
    return affected_rows(session, delete(Setting).where(Setting.key == key)) == 1
