"""The visitor's page: conversations, questions, Stop and Retry. Every form works without JavaScript."""

from __future__ import annotations

import re
import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, redirect, render_template, request, session, url_for
from flask_babel import gettext as _

from webchat.answering.pipeline import Busy, StillAnswering
from webchat.storage import conversations, feedback, messages
from webchat.storage.database import StorageUnavailable
from webchat.web.errors import mark, problem_of
from webchat.web.fragments import append_frame, notice, stopping_frame, thread_frame, view_of, views_of
from webchat.web.history import grouped
from webchat.web.i18n import LOCALES
from webchat.web.limits import question_limits
from webchat.web.markdown import with_copy_buttons
from webchat.web.often_asked import often_asked
from webchat.web.problems import Problem
from webchat.web.questions import form_question
from webchat.web.services import services
from webchat.web.visitors import asker, known_visitor, opening, own_conversation, visitor

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as BaseResponse

    from webchat.answering.pipeline import Turn
    from webchat.storage.tables import Conversation

bp = Blueprint("chat", __name__)

_KNOWN = 5  # questions offered while somebody types
_TYPED, _LEAST_TYPED = 50, 2  # characters of it that are looked at, and from how many on
# An address of ours, in visible ASCII: browsers read // and /\ as another host, and skip over tabs and line breaks.
_LOCAL_ADDRESS = re.compile(r"/(?![/\\])[!-~]*")


@bp.app_context_processor
def _for_templates() -> dict[str, Any]:
    return {
        "fresh_client_id": lambda: secrets.token_urlsafe(12),
        "copyable": lambda html: with_copy_buttons(html, _("Copy code"), _("Copied")),
    }


@bp.get("/")
def home() -> str:
    """An empty chat."""
    return _page(None)


@bp.get("/c/<public_id>")
def conversation(public_id: str) -> str:
    """A conversation as it stands."""
    return _page(own_conversation(public_id))


@bp.get("/known")
def known_questions() -> str:
    """Questions of the shop that what is being typed may become."""
    typed = request.args.get("text", "")[:_TYPED].strip()
    found = services().index.completing(typed, _KNOWN) if len(typed) >= _LEAST_TYPED else []
    where = request.args.get("where", "new")
    return render_template(
        "chat/_known.html", questions=found, public_id=where, client_id=secrets.token_urlsafe(12), typed=typed
    )


@bp.post("/c/<public_id>/messages")
@question_limits
def post_message(public_id: str) -> BaseResponse:
    """Ask; ``new`` opens a conversation. HTMX gets fragments, a plain form is sent to the page."""
    where = None if public_id == "new" else own_conversation(public_id)
    try:
        text, client_id = form_question()
        turn = services().answerer.answer(where or opening(), text, client_id, asker())
    except (Problem, Busy, StillAnswering, StorageUnavailable) as error:
        if request.headers.get("HX-Request"):
            raise
        return _refused(where, problem_of(error))
    if not request.headers.get("HX-Request"):
        return redirect(url_for(".conversation", public_id=turn.conversation.public_id), code=303)
    return _opened(turn.conversation) if where is None else appended(turn)


@bp.post("/c/<public_id>/stop")
def stop(public_id: str) -> BaseResponse:
    """Stop what is being written; the socket, or the reloaded page, shows the outcome."""
    own = own_conversation(public_id)
    stopped = services().answerer.stop(own)
    if stopped and request.headers.get("HX-Request"):
        return Response("".join(stopping_frame(own, message_id) for message_id in stopped))
    return _done(own)


@bp.post("/c/<public_id>/assistant")
def ask_assistant(public_id: str) -> BaseResponse:
    """Let the assistant answer again in a conversation that an operator has taken."""
    own = own_conversation(public_id)
    services().answerer.give_back(own, asked=True)
    return _as_it_stands(own)


@bp.post("/c/<public_id>/typing")
def typing(public_id: str) -> Response:
    """Show an operator who has the conversation that its visitor is typing."""
    services().answerer.feeds.note_typing(own_conversation(public_id).public_id, "visitor")
    return Response(status=HTTPStatus.NO_CONTENT)


@bp.post("/c/<public_id>/messages/<int:message_id>/retry")
@question_limits
def retry(public_id: str, message_id: int) -> BaseResponse:
    """Make an answer anew; the socket, or the reloaded page, shows it."""
    own = own_conversation(public_id)
    if services().answerer.retry(own, message_id, asker()) is None:
        raise Problem(409, _("This answer cannot be tried again."))
    return _done(own)


@bp.post("/c/<public_id>/messages/<int:message_id>/edit")
@question_limits
def edit(public_id: str, message_id: int) -> BaseResponse:
    """Ask the last question in other words."""
    own = own_conversation(public_id)
    text, client_id = form_question()
    services().answerer.edit(own, message_id, text, client_id, asker())
    return _as_it_stands(own)


@bp.post("/c/<public_id>/messages/<int:message_id>/again")
@question_limits
def again(public_id: str, message_id: int) -> BaseResponse:
    """Have the model answer the last question once more."""
    own = own_conversation(public_id)
    services().answerer.again(own, message_id, asker())
    return _as_it_stands(own)


@bp.post("/language")
def set_language() -> BaseResponse:
    """Switch the language of the pages."""
    if (chosen := request.form.get("language")) in LOCALES:
        session["language"] = chosen
    target = request.form.get("next", "")
    return redirect(target if _LOCAL_ADDRESS.fullmatch(target) else url_for(".home"), code=303)


def _page(conversation: Conversation | None) -> str:
    visitor()  # known before the first question, so that one sent twice has one asker
    return render_template("chat/page.html", **chat_state(conversation))


def chat_state(conversation: Conversation | None) -> dict[str, Any]:
    """Everything the chat templates show."""
    parts = services()
    engine = parts.engine.stats()
    with parts.database.read() as rows:
        thread = messages.thread(rows, conversation.id) if conversation else []
        votes = feedback.of_messages(rows, known_visitor(), [message.id for message in thread])
        suggestions = [] if thread else often_asked(rows)
    runs = parts.answerer.feeds.runs(conversation.public_id) if conversation else {}
    return {
        "conversation": conversation,
        "messages": views_of(thread, runs, votes),
        "history": _history(conversation),
        "client_id": secrets.token_urlsafe(12),
        "suggestions": suggestions,
        "model_name": None if engine.state == "failed" else parts.engine.name,
        "model_elsewhere": bool(parts.settings.engine_url),
        "banner": _("AI answers are not available at the moment. Common questions are still answered.")
        if engine.state == "failed"
        else None,
        "max_chars": parts.settings.max_message_chars,
        "notice": None,
        "draft": "",
    }


def _history(current: Conversation | None) -> list[dict[str, Any]]:
    known = known_visitor()
    if known is None:
        return []
    with services().database.read() as rows:
        return grouped(conversations.recent_of_visitor(rows, known), current)


def _opened(conversation: Conversation) -> Response:
    """The whole chat of a conversation that was just opened, in place of the empty one."""
    state = chat_state(conversation)
    chat = render_template("chat/_chat.html", **state)
    history = render_template("chat/_history.html", **state)
    response = Response(
        f'<hx-partial hx-target="#chat" hx-swap="outerHTML">{chat}</hx-partial>'
        f'<hx-partial hx-target="#history" hx-swap="outerHTML">{history}</hx-partial>'
    )
    response.headers["HX-Push-Url"] = url_for(".conversation", public_id=conversation.public_id)
    return response


def appended(turn: Turn) -> Response:
    """The turn behind the message before it; ignored by a page whose socket was faster."""
    with services().database.read() as rows:
        before = messages.thread(rows, turn.conversation.id, limit=1, before_id=turn.question.id)
    after, day = (before[0].id, view_of(before[0]).day) if before else (0, None)
    views = [view_of(message) for message in (turn.question, turn.answer) if message]
    return Response(append_frame(turn.conversation, after, views, day) + notice(""))


def _refused(where: Conversation | None, problem: Problem) -> Response:
    """A question that was not taken: without JavaScript the page comes back with what was typed."""
    state = chat_state(where) | {"notice": problem.detail, "draft": request.form.get("text", "")}
    state |= {"suggested": problem.suggested, "public_id": where.public_id if where else "new"}
    return mark(Response(render_template("chat/page.html", **state)), problem)


def _as_it_stands(conversation: Conversation) -> BaseResponse:
    """The whole thread, of which more than the end has changed."""
    if not request.headers.get("HX-Request"):
        return redirect(url_for(".conversation", public_id=conversation.public_id), code=303)
    with services().database.read() as rows:
        thread = messages.thread(rows, conversation.id)
        votes = feedback.of_messages(rows, known_visitor(), [message.id for message in thread])
    runs = services().answerer.feeds.runs(conversation.public_id)
    return Response(thread_frame(conversation, views_of(thread, runs, votes)) + notice(""))


def _done(conversation: Conversation) -> BaseResponse:
    if request.headers.get("HX-Request"):
        return Response(notice(""))
    return redirect(url_for(".conversation", public_id=conversation.public_id), code=303)
