"""Queries about API keys: who may use ``/v1``.

A key is 256 random bits, so its SHA-256 gives nothing away and cannot be guessed from: the slow hashes that
passwords need would only cost every request their time.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import TYPE_CHECKING

from sqlalchemy import or_, select, update

from webchat.storage.database import affected_rows
from webchat.storage.tables import ApiKey, utc_now

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

_PREFIX = "wc_"  # says what it is to whoever, or whatever scanner, finds one
_NOTED_EVERY = timedelta(minutes=1)  # how fresh ``last_used_at`` is kept: not every request is worth a write


def add(session: Session, name: str, per_minute: int | None = None) -> str:
    """Make a key and give it out, this once; a name that is in force is a ``Conflict``.

    Args:
        session: a write session.
        name: whose key it is.
        per_minute: completions it may ask for in a minute; None for any number.
    """
    key = _PREFIX + secrets.token_urlsafe(32)
    session.add(ApiKey(name=name, key_hash=_hash(key), per_minute=per_minute))
    session.flush()
    return key


def in_force(session: Session, key: str) -> ApiKey | None:
    """Find the row of a key that somebody shows, unless it was revoked."""
    return session.scalar(select(ApiKey).where(ApiKey.key_hash == _hash(key), ApiKey.revoked_at.is_(None)))


def everything(session: Session) -> list[ApiKey]:
    """List the keys by name, revoked ones too, oldest first."""
    return list(session.scalars(select(ApiKey).order_by(ApiKey.name, ApiKey.id)))


def revoke(session: Session, name: str) -> bool:
    """End a key; False when none of this name is in force."""
    statement = update(ApiKey).where(ApiKey.name == name, ApiKey.revoked_at.is_(None)).values(revoked_at=utc_now())
    return affected_rows(session, statement) > 0


def use_is_worth_noting(key: ApiKey) -> bool:
    """Whether the moment that the row has for the last use is old."""
    return key.last_used_at is None or utc_now() - key.last_used_at >= _NOTED_EVERY


def note_use(session: Session, key_id: int) -> None:
    """Note that a key is being used; of several requests at once the first one writes."""
    now = utc_now()
    not_noted = or_(ApiKey.last_used_at.is_(None), ApiKey.last_used_at <= now - _NOTED_EVERY)
    session.execute(update(ApiKey).where(ApiKey.id == key_id, not_noted).values(last_used_at=now))


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
