"""A visitor's own conversations: listed by day, searched, exported, deleted. Plain pages, without a script."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, get_args

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _

from webchat.storage import conversations, messages
from webchat.web import exports
from webchat.web.i18n import day_name, days_ago
from webchat.web.services import services
from webchat.web.visitors import known_visitor, own_conversation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from werkzeug.wrappers import Response as BaseResponse

    from webchat.storage.tables import Conversation
    from webchat.web.exports import Said

bp = Blueprint("history", __name__)

_PER_PAGE = 50
_MAX_SEARCH_CHARS = 100
_MAX_PAGE = 10_000


@bp.get("/history")
def page() -> str:
    """All conversations of this visitor, or those in which something was said."""
    text = "".join(char for char in request.args.get("q", "") if char.isprintable()).strip()[:_MAX_SEARCH_CHARS]
    number = min(max(request.args.get("page", 1, type=int), 1), _MAX_PAGE)
    found = _found(text, number)
    shown = found[:_PER_PAGE]
    return render_template(
        "chat/history_results.html" if request.headers.get("HX-Request") else "chat/history.html",
        groups=grouped(shown),
        text=text,
        page=number,
        more=len(found) > _PER_PAGE,
        known=bool(shown) or bool(text) or number > 1,
    )


@bp.get("/history/export.<kind>")
def export_all(kind: str) -> Response:
    """Everything this visitor and the shop said to each other, as a file."""
    with services().database.read() as rows:
        said: list[Said] = [*conversations.with_messages(rows, known_visitor() or "")]
    return _file(kind, said, "conversations")


@bp.get("/c/<public_id>/export.<kind>")
def export(public_id: str, kind: str) -> Response:
    """One conversation, as a file."""
    own = own_conversation(public_id)
    with services().database.read() as rows:
        said: list[Said] = [(own, messages.everything(rows, own.id))]
    return _file(kind, said, f"conversation-{own.created_at:%Y%m%d}")


@bp.post("/c/<public_id>/delete")
def delete(public_id: str) -> BaseResponse:
    """Delete a conversation for good; what is being written in it ends."""
    own = own_conversation(public_id)
    services().answerer.stop(own)
    with services().database.write() as rows:
        conversations.remove(rows, own.id)
    services().answerer.feeds.close(own.public_id)
    flash(_("“%(title)s” was deleted.", title=own.title), "done")
    return redirect(url_for(".page"), code=303)


def grouped(shown: Sequence[Conversation], current: Conversation | None = None) -> list[dict[str, Any]]:
    """Conversations under the days they were last spoken in, as lists of them are shown."""
    now = datetime.now(UTC)
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in shown:
        groups.setdefault(_age(item.active_at, now), []).append(
            {
                "public_id": item.public_id,
                "title": item.title,
                "when": day_name(item.active_at, now),
                "current": current is not None and item.id == current.id,
            }
        )
    return [{"title": title, "conversations": items, "count": len(items)} for title, items in groups.items()]


def _age(moment: datetime, now: datetime) -> str:
    days = days_ago(moment, now)
    if days <= 0:
        return _("Today")
    if days == 1:
        return _("Yesterday")
    return _("Previous 7 days") if days <= 7 else _("Earlier")  # noqa: PLR2004 - as it says


def _found(text: str, number: int) -> list[Conversation]:
    """One page, and one more to know whether there is another."""
    if (known := known_visitor()) is None:
        return []
    with services().database.read() as rows:
        return conversations.search_of_visitor(rows, known, text, limit=_PER_PAGE + 1, offset=(number - 1) * _PER_PAGE)


def _file(kind: str, said: Sequence[Said], name: str) -> Response:
    known = next((each for each in get_args(exports.Format) if each == kind), None)
    if known is None:
        abort(404)
    text = exports.as_json(said) if known == "json" else exports.as_markdown(said)
    response = Response(text, content_type=exports.MIME_TYPES[known])
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{known}"'
    return response
