"""Who asks: a random id in the signed session cookie."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import abort, session
from flask_babel import gettext as _
from flask_limiter.util import get_remote_address

from webchat.answering.pipeline import Asker, Opening
from webchat.storage import conversations
from webchat.web.i18n import language
from webchat.web.problems import Problem
from webchat.web.services import services
from webchat.web.sessions import in_frame

if TYPE_CHECKING:
    from webchat.storage.tables import Conversation


def known_visitor() -> str | None:
    """The visitor's id, or None when this browser has not asked anything yet."""
    visitor = session.get("visitor_id")
    return visitor if isinstance(visitor, str) else None


def visitor() -> str:
    """The visitor's id; a new one goes into the cookie."""
    if (known := known_visitor()) is not None:
        return known
    session.permanent = True
    session["visitor_id"] = secrets.token_urlsafe(18)
    return str(session["visitor_id"])


def opening() -> Opening:
    """A conversation that this request may open: whose, in which language, and from which page of the shop."""
    if not in_frame():
        return Opening(visitor(), "page", language())
    page = session.get("page")
    return Opening(visitor(), "widget", language(), (page[0], page[1]) if page else None)


def asker() -> Asker:
    """Who sends this request, as the model's queue tells askers apart."""
    return Asker(known_visitor(), get_remote_address())


def own_conversation(public_id: str) -> Conversation:
    """Load a conversation for the visitor it belongs to; for everyone else it does not exist (404)."""
    with services().database.read() as rows:
        conversation = conversations.by_public_id(rows, public_id)
    if conversation is None or conversation.visitor_id is None or conversation.visitor_id != known_visitor():
        abort(HTTPStatus.NOT_FOUND)
    return conversation


def open_to_holder(public_id: str) -> Conversation:
    """Load a conversation that was opened without a cookie, whose id is the key to it; else 404.

    Conversations of the page and the widget stay their visitor's, also when someone learns their id.
    """
    with services().database.read() as rows:
        conversation = conversations.by_public_id(rows, public_id)
    if conversation is None or (conversation.channel != "api" and conversation.visitor_id != known_visitor()):
        raise Problem(HTTPStatus.NOT_FOUND, _("There is no such conversation."))
    return conversation
