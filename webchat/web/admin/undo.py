"""One step back: what an operator deleted last is kept until the next deletion, so deleting needs no questions."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from webchat.storage import faq, settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from webchat.storage.database import Session
    from webchat.storage.tables import Entry, Operator


def keep(session: Session, operator: Operator, entries: Iterable[Entry]) -> None:
    """Remember entries that this operator is about to delete, in place of the ones before."""
    settings.put(session, _key(operator), [_pack(entry) for entry in entries])


def kept_questions(session: Session, operator: Operator) -> list[str]:
    """The questions of the entries that this operator can bring back."""
    return [packed["phrasings"][0] for packed in settings.get(session, _key(operator), [])]


def restore(session: Session, operator: Operator) -> list[Entry]:
    """Bring back what this operator deleted last; a second time brings nothing."""
    kept = settings.get(session, _key(operator), [])
    if not settings.remove(session, _key(operator)):
        return []
    return [_unpack(session, packed) for packed in kept]


def _key(operator: Operator) -> str:
    return f"deleted_entries_{operator.id}"


def _pack(entry: Entry) -> dict[str, Any]:
    return {
        "phrasings": [phrasing.text for phrasing in entry.phrasings],
        "negatives": [negative.text for negative in entry.negatives],
        "must_hit": [case.text for case in entry.cases if case.must_hit],
        "must_not_hit": [case.text for case in entry.cases if not case.must_hit],
        "answer": entry.answer,
        "group_name": entry.group_name,
        "status": entry.status,
        "origin": entry.origin,
        "batch": entry.batch,
        "valid_from": _packed_moment(entry.valid_from),
        "valid_until": _packed_moment(entry.valid_until),
        "hits": entry.hits,
        "created_at": _packed_moment(entry.created_at),
    }


def _unpack(session: Session, packed: dict[str, Any]) -> Entry:
    content = packed | {name: _moment(packed[name]) for name in ("valid_from", "valid_until", "created_at")}
    history = {name: content.pop(name) for name in ("hits", "created_at")}
    entry = faq.create(session, **content)
    for name, value in history.items():
        setattr(entry, name, value)
    return entry


def _packed_moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(packed: str | None) -> datetime | None:
    return None if packed is None else datetime.fromisoformat(packed)
