"""Questions of the shop that are offered before anything was asked, and when the model has no time for another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webchat.answering.normalise import has_han
from webchat.storage import faq
from webchat.web.i18n import language

if TYPE_CHECKING:
    from webchat.storage.database import Session

_OFFERED = 4
_CONSIDERED = 40  # entries looked at for them


def often_asked(rows: Session) -> list[str]:
    """What is asked most, in the visitor's language, and real questions before greetings."""
    chinese = language() == "zh"
    own = [text for text in faq.top_questions(rows, _CONSIDERED) if has_han(text) == chinese]
    return sorted(own, key=lambda text: not text.endswith(("?", "？")))[:_OFFERED]
