"""A browser without JavaScript that fills in the site's forms, and looks into the database behind them."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from html import unescape
from typing import TYPE_CHECKING

from webchat.storage import audit, faq

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

    from webchat.storage.database import Database
    from webchat.storage.tables import Entry

PASSWORD = "a boat on the river"
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://localhost/admin/faq?q=refund"}


@dataclass
class Browser:
    """One cookie jar. With ``headers=HTMX`` it asks as htmx does."""

    client: FlaskClient

    def get(self, path: str, **options) -> TestResponse:
        return self.client.get(path, **options)

    def post(self, path: str, headers=None, **fields: str) -> TestResponse:
        return self.client.post(path, headers=headers, data={"csrf_token": self.csrf_token(), **fields})

    def csrf_token(self) -> str:
        page = self.client.get("/").text
        return re.search(r'name="csrf_token" value="([^"]+)"', page)[1]

    def follow(self, response: TestResponse) -> str:
        """Go where a redirect leads; what the page there says."""
        assert response.status_code == 303, response.text
        page = self.get(response.location)
        assert page.status_code == 200, page.text
        return text_of(page)

    def sign_in(self, name: str, password: str = PASSWORD, **fields: str) -> TestResponse:
        return self.post("/admin/sign-in", name=name, password=password, **fields)

    def add(self, phrasings: str, answer: str, **fields: str) -> TestResponse:
        return self.post("/admin/faq/new", phrasings=phrasings, answer=answer, **fields)

    def edit(self, entry_id: int, phrasings: str, answer: str, **fields: str) -> TestResponse:
        return self.post(f"/admin/faq/{entry_id}", phrasings=phrasings, answer=answer, **fields)

    def seen(self, entry_id: int) -> str:
        """The stamp of a form opened now."""
        return stamp_in(self.get(f"/admin/faq/{entry_id}"))

    def ask(self, question: str) -> str:
        """Ask as a visitor; what the page with the answer says."""
        return self.follow(self.post("/c/new/messages", text=question, client_id=secrets.token_urlsafe(12)))


def text_of(response: TestResponse) -> str:
    """What a page says, without tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.text)).split())


def stamp_in(response: TestResponse) -> str:
    """The version that a form carries."""
    return unescape(re.search(r'name="seen" value="([^"]*)"', response.text)[1])


def stored(database: Database, entry_id: int) -> Entry | None:
    with database.read() as session:
        return faq.get(session, entry_id)


def all_entries(database: Database) -> list[Entry]:
    with database.read() as session:
        return faq.search(session, "", limit=1000)[0]


def actions(database: Database) -> list[tuple[str, str]]:
    """Who did what, newest first."""
    with database.read() as session:
        return [(record.operator_name, record.action) for record in audit.recent(session, 100)]
