"""Languages and times: zh-CN first, English too; every time in the shop's zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from babel import Locale
from flask import Flask, has_request_context, request, session
from flask_babel import Babel, format_date, get_locale
from flask_babel import gettext as _

from webchat.web.services import services

if TYPE_CHECKING:
    from datetime import date

    from webchat.storage.tables import Language

LOCALE_OF: dict[Language, str] = {"zh": "zh_CN", "en": "en"}  # by the name of the language in conversations
LOCALES = tuple(LOCALE_OF.values())
_PARSED = {name: Locale.parse(name) for name in LOCALES}  # from a name it takes a millisecond of every request


def register_languages(app: Flask) -> None:
    """Translate every page of the application."""
    app.config["BABEL_DEFAULT_LOCALE"] = "zh_CN"
    Babel(app, locale_selector=lambda: _PARSED[_choose_locale()])
    app.context_processor(lambda: {"locale": locale(), "full_date": full_date, "today": today})


def locale() -> str:
    """The locale of this request, one of ``LOCALES``."""
    current = get_locale()
    return "en" if current and current.language == "en" else "zh_CN"


def language() -> Language:
    """The locale as conversations store it."""
    return "en" if locale() == "en" else "zh"


def local_time(moment: datetime) -> datetime:
    """A moment in the shop's time zone."""
    return moment.astimezone(ZoneInfo(services().settings.timezone))


def days_ago(moment: datetime, now: datetime) -> int:
    """How many midnights of the shop's zone lie between a moment and now."""
    return (local_time(now).date() - local_time(moment).date()).days


def full_date(day: date) -> str:
    """A day with its weekday, as a line between two days of a conversation says it."""
    return format_date(day, "full")


def today() -> date:
    """The present day in the shop's zone."""
    return local_time(datetime.now(UTC)).date()


def day_name(moment: datetime, now: datetime) -> str:
    """Today, yesterday, or the date, as a list of conversations says it."""
    days = days_ago(moment, now)
    if days <= 0:
        return local_time(moment).strftime("%H:%M")
    if days == 1:
        return _("Yesterday")
    return local_time(moment).date().isoformat()


def _choose_locale() -> str:
    if not has_request_context():
        return LOCALES[0]
    if request.path.startswith("/v1/"):  # whose errors name fields, and end up in logs
        return "en"
    if (chosen := session.get("language")) in LOCALES:
        return str(chosen)
    best = request.accept_languages.best_match(["zh-CN", "zh", "en"], default="zh-CN")
    return "en" if best == "en" else "zh_CN"
