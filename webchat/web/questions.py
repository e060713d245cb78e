"""The door for what visitors send: cleans it or refuses it with a sentence, before anything else sees it."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from flask import request
from flask_babel import gettext as _

from webchat.web.problems import Problem
from webchat.web.services import services

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_KEPT_CONTROLS = "\n\t"
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 100  # of a form; ours have ten
COMMENT_CHARS = 500
_HOPELESS = 4  # times the limit: cleaning cannot make it fit


def form_question() -> tuple[str, str]:
    """The text and the client id of the page's form.

    Raises:
        Problem: 400 when a field is missing, empty or no UTF-8; 413 when the text is too long.
    """
    if request.mimetype != _FORM:  # in other encodings wrong bytes would become question marks unseen
        raise Problem(400, _("There is no question in the request."))
    return clean_question(request.form.get("text")), client_id(request.form.get("client_id"))


def json_body() -> Mapping[str, Any]:
    """The JSON object a program sent.

    Raises:
        Problem: 400 when the body is no JSON object in UTF-8.
    """
    try:
        body = request.get_json(force=True, silent=True)
    except RecursionError:  # nested deeper than the parser goes
        body = None
    if not isinstance(body, dict):
        raise Problem(400, _("Send a JSON object in UTF-8."))
    return body


def clean_question(text: object) -> str:
    """A question fit to be stored and shown: control characters gone, ends trimmed, within its limit.

    Raises:
        Problem: 400 for what is no text, 413 for too much of it.
    """
    if not isinstance(text, str):
        raise Problem(400, _("There is no question in the request."))
    limit = services().settings.max_message_chars
    if len(text) > _HOPELESS * limit:  # not worth looking at
        raise _too_long(len(text), limit)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise Problem(400, _("The text is not valid UTF-8."))
    text = "".join(c for c in text if c in _KEPT_CONTROLS or unicodedata.category(c) != "Cc").strip()
    if not any(char.isprintable() and char != " " for char in text):
        raise Problem(400, _("Please type a question first."))
    if len(text) > limit:
        raise _too_long(len(text), limit)
    return text


def clean_line(text: str) -> str:
    """A line fit to be stored and shown.

    Raises:
        Problem: 400 when nothing is left of it.
    """
    return clean_question(" ".join(text.split()))


def clean_comment(text: str) -> str:
    """What a visitor adds to a vote, fit to be stored and shown; may be empty.

    Raises:
        Problem: 413 for too much of it.
    """
    text = text.replace("\r\n", "\n")[: 4 * COMMENT_CHARS]
    text = "".join(c for c in text if c in _KEPT_CONTROLS or unicodedata.category(c) not in ("Cc", "Cs")).strip()
    if len(text) > COMMENT_CHARS:
        raise _too_long(len(text), COMMENT_CHARS)
    return text


def _too_long(length: int, limit: int) -> Problem:
    return Problem(413, _("The message has %(length)d characters; at most %(limit)d fit.", length=length, limit=limit))


def session_id(body: Mapping[str, Any]) -> str | None:
    """The conversation a program continues; None when it opens one.

    Raises:
        Problem: 400 when it is no text.
    """
    value = body.get("session_id")
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise Problem(400, _("session_id must be text."))
    return value


def require_utf8_form() -> None:
    """Refuse a form whose bytes are no UTF-8. Werkzeug would keep them as percent signs; nobody meant to ask that.

    Raises:
        Problem: 400.
    """
    if request.mimetype != _FORM or request.url_rule is None:
        return
    try:
        parse_qsl(request.get_data().decode(), errors="strict", keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Problem(400, _("The text is not valid UTF-8.")) from None


def client_id(value: str | None) -> str:
    """The sender's name for what is sent.

    Raises:
        Problem: 400 when there is none.
    """
    if value is None or not _CLIENT_ID.fullmatch(value):
        raise Problem(400, _("This page is too old to send from. Reload it and send again."))
    return value
