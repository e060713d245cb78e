"""Operators and conversations: what goes on, reading along, taking one, answering, and handing it back. Plain forms."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError

from webchat.answering import hands
from webchat.storage import audit, conversations, feedback, messages, operators
from webchat.storage.tables import utc_now
from webchat.web.admin.auth import SignedOut, current_operator
from webchat.web.admin.late import answer_late
from webchat.web.fragments import view_of, views_of
from webchat.web.i18n import local_time
from webchat.web.problems import Problem
from webchat.web.questions import clean_question
from webchat.web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from werkzeug.exceptions import HTTPException
    from werkzeug.wrappers import Response as BaseResponse

    from webchat.answering.feed import Presence
    from webchat.storage.tables import Conversation, Message, Operator
    from webchat.web.fragments import MessageView

bp = Blueprint("conversations", __name__)

_PER_PAGE = 30
_MAX_PAGE = 100_000  # keeps the offset within what a database can count


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation in the list.

    Attributes:
        last: what was said last.
        holder: who of the shop has taken it; None while the assistant answers.
        away: and has not been there for a while.
        presence: of the visitor.
    """

    conversation: Conversation
    last: MessageView | None
    holder: str | None
    away: bool
    presence: Presence

    @property
    def waits(self) -> bool:
        """Whether the visitor has spoken last, to an operator."""
        return bool(self.holder and self.last and self.last.role == "visitor")


@bp.app_context_processor
def _waiting() -> dict[str, Any]:
    return {"conversations_waiting": conversations_waiting}


@bp.errorhandler(CSRFError)
@bp.errorhandler(SignedOut)
def sent_too_late(error: HTTPException) -> ResponseReturnValue:
    """Answer a page that outlived its session: nothing is done, and it says why."""
    return answer_late(error, "admin/_too_late.html", None)


@bp.get("/conversations")
def list_page() -> str:
    """What goes on now: everybody's conversations, or those that operators have taken."""
    return _list("admin/conversations.html")


@bp.get("/conversations/now")
def list_now() -> str:
    """The part of that page that changes, asked for while it is open."""
    return _list("admin/_conversations.html")


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
    return _page("admin/conversation_live.html", conversation)


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


@bp.post("/conversations/<int:conversation_id>/typing")
def typing(conversation_id: int) -> Response:
    """Show the visitor that the operator who has the conversation is typing."""
    conversation = _conversation(conversation_id)
    if conversation.operator_id == current_operator().id:
        services().answerer.feeds.note_typing(conversation.public_id, "operator")
    return Response(status=HTTPStatus.NO_CONTENT)


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
    feeds = services().answerer.feeds
    feeds.note_typing(conversation.public_id, "operator", typing=False)
    feeds.announce(conversation.public_id, said)
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


def conversations_waiting() -> int:
    """How many visitors wait for an operator's next words, for the navigation of every page that shows it."""
    if g.get("operator") is None:
        return 0
    with services().database.read() as rows:
        return conversations.count_unanswered(rows)


def _list(template: str) -> str:
    with_person = request.args.get("who") == "person"
    number = min(max(request.args.get("page", 1, type=int), 1), _MAX_PAGE)
    with services().database.read() as rows:
        found = conversations.latest(
            rows, with_person=with_person, limit=_PER_PAGE + 1, offset=(number - 1) * _PER_PAGE
        )
        said = messages.newest_of(rows, [each.id for each in found], 1)
        names = {operator.id: operator.name for operator in operators.all_operators(rows)}
    shown = found[:_PER_PAGE]
    return render_template(
        template,
        found=[_listed(each, said.get(each.id, []), names) for each in shown],
        who="person" if with_person else None,
        page=number,
        more=len(found) > len(shown),
        titles={None: _("All"), "person": _("With a person")},
        local_time=local_time,
    )


def _listed(conversation: Conversation, said: list[Message], names: dict[int, str]) -> Listed:
    seen = conversation.operator_seen_at
    return Listed(
        conversation,
        last=view_of(said[-1]) if said else None,
        holder=names.get(conversation.operator_id, "?") if conversation.operator_id else None,
        away=seen is not None and seen <= utc_now() - hands.PATIENCE,
        presence=services().answerer.feeds.presence(conversation.public_id),
    )


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
        presence=services().answerer.feeds.presence(conversation.public_id),
        unanswered=_unanswered(thread) if holder else 0,
    )


def _unanswered(thread: list[Message]) -> int:
    """How often the visitor has spoken since staff did."""
    return len(list(takewhile(lambda message: message.role == "visitor", reversed(thread))))


def _name(operator: Operator | None) -> str:
    return operator.name if operator else "?"


def _record(conversation: Conversation, action: str) -> None:
    with services().database.write() as rows:
        audit.record(rows, current_operator().name, action, f"conversation {conversation.id}")


def _back(conversation: Conversation) -> BaseResponse:
    return redirect(url_for(".page", conversation_id=conversation.id, _anchor="text"), code=303)
