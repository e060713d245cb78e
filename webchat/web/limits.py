"""How often one visitor, one network address and one API key may ask. Health and static files are free."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import g
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from werkzeug.exceptions import HTTPException

from webchat.web.problems import Problem
from webchat.web.questions import json_body, session_id
from webchat.web.services import services
from webchat.web.visitors import known_visitor

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from webchat.config import Settings

F = TypeVar("F", bound="Callable[..., Any]")

_SESSION_CHARS = 64  # more than an id has: what is sent as one is kept as a counter's name

limiter = Limiter(key_func=get_remote_address)


def register_limits(app: Flask, settings: Settings) -> None:
    """Count in memory, or in Redis when several processes share the limits."""
    app.config.update(
        RATELIMIT_STORAGE_URI=settings.redis_url or "memory://",
        RATELIMIT_IN_MEMORY_FALLBACK_ENABLED=bool(settings.redis_url),  # a lost Redis must not stop the shop
        RATELIMIT_KEY_PREFIX="webchat",
    )
    limiter.init_app(app)


def seconds_to_wait() -> float:
    """After a refusal: how long until the limit lets the next question through."""
    broken = limiter.current_limit
    return max(1.0, broken.reset_at - time.time()) if broken else 60.0


def question_limits(view: F) -> F:
    """Limit a view that takes questions: strictly by visitor, loosely by address, since an office shares one."""
    by_address = limiter.shared_limit(
        lambda: services().settings.rate_address, scope="address", key_func=get_remote_address
    )
    by_visitor = limiter.shared_limit(
        lambda: services().settings.rate_visitor,
        scope="visitor",
        key_func=_asker,
        exempt_when=lambda: not _asker(),
    )
    return cast("F", by_address(by_visitor(view)))


def key_limit(view: F) -> F:
    """Limit a view of ``/v1`` by the API key it is called with, as far as the key has a limit."""
    limit = limiter.shared_limit(
        lambda: f"{g.api_key.per_minute} per minute" if g.api_key.per_minute else "",
        scope="api key",
        key_func=lambda: g.api_key.name,
    )
    return cast("F", limit(view))


def _asker() -> str:
    """The visitor of the cookie, or the conversation a program continues; empty for who is new."""
    if visitor := known_visitor():
        return visitor
    try:
        continued = session_id(json_body())
    except (Problem, HTTPException):  # the view will say so; here it would look like a counter that is broken
        return ""
    return f"session {continued[:_SESSION_CHARS]!a}" if continued else ""
