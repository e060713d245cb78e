"""A visitor's browser without JavaScript: cookies, the page's forms, and nothing else."""

from __future__ import annotations

import re
import secrets
import threading
import time
from collections import deque
from html import unescape
from typing import TYPE_CHECKING, Any

import httpx2
from support.page import Page

from webchat.storage import conversations, messages

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

HTMX = {"HX-Request": "true"}
_DEADLINE = 60.0
_never = threading.Event()


class Visitor:
    """Somebody who asks, at a server or at an application in this process."""

    def __init__(self, http: httpx2.Client) -> None:
        self.http = http
        self.http.timeout = _DEADLINE
        self._csrf_token = ""

    @classmethod
    def of(cls, app: Flask, base_url: str = "http://localhost", **options: Any) -> Visitor:
        """A visitor of an application in this process."""
        transport = httpx2.WSGITransport(app, remote_addr=options.pop("address", "127.0.0.1"))
        return cls(httpx2.Client(transport=transport, base_url=base_url, **options))

    @classmethod
    def at(cls, url: str, **headers: str) -> Visitor:
        """A visitor of a server."""
        return cls(httpx2.Client(base_url=url, headers=headers))

    def get(self, path: str, **options: Any) -> httpx2.Response:
        """Open a page."""
        return self.http.get(path, **options)

    def csrf_token(self) -> str:
        """The token of the page, which is opened once."""
        if not self._csrf_token:
            self._csrf_token = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/").text)[1]
        return self._csrf_token

    def post(self, path: str, *, headers: dict[str, str] | None = None, **fields: str) -> httpx2.Response:
        """Send a form, with the page's token unless the fields bring one."""
        fields = {"csrf_token": self.csrf_token()} | fields if "csrf_token" not in fields else fields
        return self.http.post(path, data=fields, headers=headers)

    def send(self, text: str, where: str = "new", client_id: str | None = None, **options: Any) -> httpx2.Response:
        """Ask with the page's form."""
        client_id = client_id or secrets.token_hex(8)
        return self.post(f"/c/{where}/messages", text=text, client_id=client_id, **options)

    def ask(self, text: str, where: str = "new") -> str:
        """Ask, and be sent to the page; the conversation's id."""
        response = self.send(text, where)
        assert response.status_code == 303, response.text
        return response.headers["Location"].rpartition("/")[2]

    def said(self, conversation: str) -> list[dict[str, Any]]:
        """The conversation as the database has it."""
        found: list[dict[str, Any]] = self.get(f"/api/v1/conversations/{conversation}/messages").json()["messages"]
        return found

    def page(self, conversation: str) -> Page:
        """The page of a conversation as the server renders it now."""
        return Page(self.get(f"/c/{conversation}").text)

    @property
    def cookie(self) -> str:
        """The Cookie header of this browser."""
        kept = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies.jar)
        return kept or self.http.headers.get("Cookie", "")


def let_finish(app: Flask, conversation: str) -> None:
    """Wait until nothing in a conversation is being written."""
    parts = app.extensions["webchat"]
    with parts.database.read() as rows:
        found = conversations.by_public_id(rows, conversation)
        unfinished = messages.unfinished(rows, found.id)
    for answer in unfinished:
        deque(parts.answerer.follow(found, answer.id), maxlen=0)


def wait_until(condition: Callable[[], object]) -> None:
    """Look again and again until a condition holds."""
    end = time.monotonic() + _DEADLINE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        _never.wait(0.005)


def wait_until_idle(app: Flask) -> None:
    """Wait until the model has been loaded, has read its personas and does nothing more."""
    engine = app.extensions["webchat"].engine
    engine.wait_until_ready(_DEADLINE)
    for thread in threading.enumerate():
        if thread.name == "warm-up":
            thread.join(_DEADLINE)
    wait_until(lambda: not engine.stats().running + engine.stats().waiting)


def text_of(response: httpx2.Response) -> str:
    """What a page says, without tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.text)).split())
