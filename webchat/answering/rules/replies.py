"""The words of a rule's reply, with the few things that are filled in when it is said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from webchat.storage.tables import Language

PLACEHOLDERS = ("shop", "model", "time", "date")
_IN_BRACES = re.compile(r"\{([^{}\n]*)\}")
_WEEKDAYS_ZH = "一二三四五六日"
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip


def unknown_placeholder(text: str) -> str | None:
    """The first thing in braces that cannot be filled in; None when everything can.

    >>> unknown_placeholder("{shop}: {phone}")
    'phone'
    """
    return next((name for name in _IN_BRACES.findall(text) if name not in PLACEHOLDERS), None)


def fill_in(text: str, language: Language, *, shop: str, model: str, now: datetime) -> str:
    """A reply as it is said at this moment, which is in the shop's time zone."""
    known = {"shop": shop, "model": model, "time": f"{now:%H:%M}", "date": _date(now, language)}
    return _IN_BRACES.sub(lambda found: known.get(found[1], found[0]), text)


def _date(now: datetime, language: Language) -> str:
    if language == "en":
        return f"{_WEEKDAYS[now.weekday()]}, {now.day} {_MONTHS[now.month - 1]} {now.year}"
    return f"{now.year}年{now.month}月{now.day}日星期{_WEEKDAYS_ZH[now.weekday()]}"
