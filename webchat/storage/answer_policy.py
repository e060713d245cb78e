"""How answers are to be given, as operators have chosen: one row, so that a question needs one small read."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from webchat.storage import settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

Mode = Literal["careful", "open", "faq_only"]

_KEY = "answer_policy"


@dataclass(frozen=True, slots=True)
class AnswerPolicy:
    """What operators decide about answers.

    Attributes:
        mode: ``careful``: facts of the shop come from entries alone; ``open``: the model answers everything;
            ``faq_only``: the model answers nothing.
        banned: words that no answer of the model may contain.
        contact_zh: how to reach a person, as a sentence in Chinese; empty for a general one.
        contact_en: the same in English.
        hours: when staff are there, as ``webchat.answering.rules.hours`` reads it; empty when nobody has said so.
        changes: how often it was saved, so that two operators cannot overwrite each other unseen.
    """

    mode: Mode = "careful"
    banned: tuple[str, ...] = ()
    contact_zh: str = ""
    contact_en: str = ""
    hours: tuple[str, ...] = ()
    changes: int = 0


def read(session: Session, *, lock: bool = False) -> AnswerPolicy:
    """The policy as it stands; with ``lock`` nobody else changes it until this transaction ends."""
    if lock:
        settings.lock(session, _KEY)
    return unpack(settings.get(session, _KEY, {}))


def save(session: Session, policy: AnswerPolicy) -> None:
    """Store a policy."""
    settings.put(session, _KEY, asdict(policy))


def unpack(stored: dict[str, Any]) -> AnswerPolicy:
    """A policy from what ``asdict`` has made of it."""
    known = {field.name for field in fields(AnswerPolicy)}
    content = {name: value for name, value in stored.items() if name in known}
    lists = {name: tuple(content.get(name, ())) for name in ("banned", "hours")}
    return AnswerPolicy(**content | lists)
