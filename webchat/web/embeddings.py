"""On which sites the widget may be shown, and on which it was tried lately."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast
from urllib.parse import urlsplit

from flask import current_app, request

from webchat.web.services import services

_MOST = 20  # origins remembered; anybody may make some up
_CHARS = 200
_NAME = re.compile(r"[\w.-]+|[\da-f:.]+")  # of a host, or an IPv6 address


@dataclass(frozen=True, slots=True)
class Attempt:
    """A site that has loaded the frame, when, and whether that was allowed."""

    origin: str
    at: datetime
    allowed: bool


def origin_of(address: str) -> str | None:
    """The origin of an address, as browsers write it; None where there is none."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not (parts.hostname and _NAME.fullmatch(parts.hostname)):
        return None
    if len(parts.netloc) > _CHARS:
        return None
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{name}" + (f":{port}" if port not in (None, usual) else "")


def own_origin() -> str | None:
    """The origin of our own pages, as this request has it."""
    return origin_of(request.host_url)


def is_allowed(origin: str) -> bool:
    """Whether pages of an origin may show the widget."""
    return origin in (own_origin(), *services().settings.allowed_origins)


class Attempts:
    """The sites that have loaded the frame since this process began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_origin: OrderedDict[str, Attempt] = OrderedDict()

    def note(self, origin: str, *, allowed: bool) -> None:
        """Remember one."""
        with self._lock:
            self._by_origin.pop(origin, None)
            self._by_origin[origin] = Attempt(origin, datetime.now(UTC), allowed)
            while len(self._by_origin) > _MOST:
                self._by_origin.popitem(last=False)

    def lately(self) -> list[Attempt]:
        """The last one of each site, newest first."""
        with self._lock:
            return list(reversed(self._by_origin.values()))


def attempts() -> Attempts:
    """Those of the current application."""
    return cast("Attempts", current_app.extensions.setdefault("embeddings", Attempts()))
