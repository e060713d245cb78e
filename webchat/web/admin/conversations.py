"""An operator in a conversation: taking it, reading along, answering, and handing it back. Plain forms."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError

from webchat.answering import hands
from webchat.storage import audit, conversations, feedback, messages, operators
from webchat.web.admin.auth import SignedOut, current_operator
from webchat.web.admin.late import answer_late
from webchat.web.fragments import views_of
from webchat.web.problems import Problem
from webchat.web.questions import clean_question
from webchat.web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from werkzeug.exceptions import HTTPException
    from werkzeug.wrappers import Response as BaseResponse

    from webchat.storage.tables import Conversation, Operator

bp = Blueprint("conversations", __name__)


@bp.errorhandler(CSRFError)
@bp.errorhandler(SignedOut)
def sent_too_late(error: HTTPException) -> ResponseReturnValue:
    """Answer a page that outlived its session: nothing is done, and it says why."""
    return answer_late(error, "admin/_too_late.html", None)


@bp.get("/conversations/<int:conversation_id>")
def page(conversation_id: int) -> str:
    """What was said, who answers now, and a box to answer."""
    return _page("admin/conversation.html", _conversation(conversation_id))


@bp.get("/conversations/<int:conversation_id>/live")
def live(conversation_id: int) -> str:
    """The part of the page that changes, asked for while it is open; which shows that the operator is there."""
    conversation, operator = _conversation(conversation_id), current_operator()
    if hands.worth_noting(conversation, operator):
        with services().database.write() as rows:
            hands.note_seen(rows, conversation, operator)
    return _page("admin/_conversation.html", conversation)


@bp.post("/conversations/<int:conversation_id>/take")
def take(conversation_id: int) -> BaseResponse:
    """Answer in person from now on."""
    conversation = _conversation(conversation_id)
    try:
        services().answerer.take(conversation, current_operator())
    except hands.TakenByAnother:
        flash(_("Somebody else has taken this conversation."), "refused")
    else:
        _record(conversation, "conversation.take")
    return _back(conversation)


@bp.post("/conversations/<int:conversation_id>/hand-back")
def hand_back(conversation_id: int) -> BaseResponse:
    """Let the assistant answer again; whoever had the conversation, as its holder may have gone home."""
    conversation = _conversation(conversation_id)
    services().answerer.give_back(conversation)
    _record(conversation, "conversation.hand_back")
    return _back(conversation)


@bp.post("/conversations/<int:conversation_id>/say")
def say(conversation_id: int) -> ResponseReturnValue:
    """Say something, as the operator who has taken the conversation; what cannot be said now stays in the box."""
    conversation = _conversation(conversation_id)
    try:
        text = clean_question(request.form.get("text"))
        said = _say(conversation, text)
    except Problem as problem:
        flash(problem.detail, "refused")
        return _page("admin/conversation.html", conversation, request.form.get("text", "")), problem.status
    services().answerer.feeds.announce(conversation.public_id, said)
    return _back(conversation)


def _say(conversation: Conversation, text: str) -> int:
    operator = current_operator()
    with services().database.write() as rows:
        conversations.touch(rows, conversation.id)
        holder = conversations.held_by(rows, conversation.id)
        if holder is None or holder[0] != operator.id:
            raise Problem(HTTPStatus.CONFLICT, _("This conversation is not with you any more. Take it to answer."))
        conversations.hold(rows, conversation.id, operator.id)
        return messages.say_as_person(rows, conversation.id, text).id


def _conversation(conversation_id: int) -> Conversation:
    with services().database.read() as rows:
        found = conversations.by_id(rows, conversation_id)
    if found is None:
        abort(HTTPStatus.NOT_FOUND)
    return found


def _page(template: str, conversation: Conversation, draft: str = "") -> str:
    with services().database.read() as rows:
        holder = conversations.held_by(rows, conversation.id)
        name = _name(operators.by_id(rows, holder[0])) if holder else None
        thread = messages.thread(rows, conversation.id)
        votes = feedback.of_messages(rows, conversation.visitor_id, [message.id for message in thread])
    runs = services().answerer.feeds.runs(conversation.public_id)
    return render_template(
        template,
        conversation=conversation,
        messages=views_of(thread, runs, votes),
        holder=name,
        mine=bool(holder and holder[0] == current_operator().id),
        draft=draft,
    )


def _name(operator: Operator | None) -> str:
    return operator.name if operator else "?"


def _record(conversation: Conversation, action: str) -> None:
    with services().database.write() as rows:
        audit.record(rows, current_operator().name, action, f"conversation {conversation.id}")


def _back(conversation: Conversation) -> BaseResponse:
    return redirect(url_for(".page", conversation_id=conversation.id, _anchor="text"), code=303)
