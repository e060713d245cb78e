"""The widget: a script for the shop's own pages, and the chat in the frame that it opens there. See docs/widget.md.

The frame has no cookies of ours; a token in its addresses is the visitor's (``webchat.web.sessions``). It is given
to pages of allowed origins alone: browsers show the frame to no other (``frame-ancestors``), nor is the token told.
"""

from __future__ import annotations

import secrets
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, current_app, render_template, request
from flask_babel import gettext as _
from flask_babel import refresh

from webchat.storage import conversations
from webchat.web import embeddings
from webchat.web.chat import chat_state
from webchat.web.i18n import LOCALE_OF, language
from webchat.web.services import services
from webchat.web.sessions import TOKEN, enter_frame, read_token

if TYPE_CHECKING:
    from webchat.storage.tables import Conversation

bp = Blueprint("widget", __name__)

_FRESH = 300  # seconds that a browser keeps the script: a shop's pages name it without a version
_URL_CHARS, _TITLE_CHARS = 300, 100


@bp.get("/widget.js")
def script() -> Response:
    """The script that a shop's page loads: the button, and the frame at the first click."""
    file = Path(current_app.static_folder or "") / "js" / "widget.js"
    response = Response(file.read_bytes(), mimetype="text/javascript")
    response.add_etag()
    response.cache_control.public, response.cache_control.max_age = True, _FRESH
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    response.make_conditional(request)
    return response


@bp.get("/widget")
def frame() -> str | tuple[str, int]:
    """The chat for the frame: the visitor's last conversation, or an empty one."""
    host = embeddings.origin_of(request.args.get("host", ""))
    allowed = host is not None and embeddings.is_allowed(host) and _came_from(host)
    if host:
        embeddings.attempts().note(host, allowed=allowed)
    if not allowed:
        detail = _("The chat may not be shown on this site. Its operator can allow it: see the widget's page in Admin.")
        return render_template("widget_refused.html", detail=detail), HTTPStatus.FORBIDDEN
    visitor_id = _enter(host or "")
    with services().database.read() as rows:
        conversation = conversations.latest_in_widget(rows, visitor_id)
    return frame_page(conversation)


def frame_page(conversation: Conversation | None) -> str:
    """The chat page as the frame shows it."""
    return render_template("chat/page.html", **chat_state(conversation))


def _enter(host: str) -> str:
    """Go on as the visitor of the token that the script has kept, or as a new one; their id."""
    kept = read_token(current_app, request.args.get(TOKEN, "")) or {}
    wanted = request.args.get("language", "")
    data: dict[str, Any] = {
        "visitor_id": kept.get("visitor_id") or secrets.token_urlsafe(18),
        "csrf_token": kept.get("csrf_token") or secrets.token_hex(20),
        "host": host,
        "language": LOCALE_OF.get("en" if wanted.startswith("en") else "zh") if wanted else LOCALE_OF[language()],
        "page": _page_shown(),
    }
    enter_frame(current_app, data)
    refresh()  # the language may be another now
    return str(data["visitor_id"])


def _page_shown() -> list[str] | None:
    """Address and title of the page that the visitor looks at, for the operators; without its query and fragment."""
    address = request.args.get("page", "")
    if (origin := embeddings.origin_of(address)) is None:
        return None
    url = (origin + urlsplit(address).path)[:_URL_CHARS]
    title = " ".join(request.args.get("title", "").split())[:_TITLE_CHARS]
    return [url, title]


def _came_from(host: str) -> bool:
    """Whether the address that asked, where the browser tells it, is of that origin."""
    referrer = embeddings.origin_of(request.referrer or "")
    return referrer is None or referrer in (host, embeddings.own_origin())
