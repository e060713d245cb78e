"""What a visitor does with an answer: chooses what it was suggested, and says what they think of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask_babel import gettext as _

from webchat.answering.choosing import NoLongerTrue, NotSuggested
from webchat.storage import feedback, messages
from webchat.storage.tables import Reason, Vote
from webchat.web.chat import appended, chat_state
from webchat.web.errors import mark
from webchat.web.fragments import message_frame, notice, view_of, vote_reasons
from webchat.web.limits import question_limits
from webchat.web.problems import Problem
from webchat.web.questions import COMMENT_CHARS, clean_comment
from webchat.web.services import services
from webchat.web.visitors import own_conversation

if TYPE_CHECKING:
    from werkzeug.wrappers import Response as BaseResponse

    from webchat.storage.tables import Conversation, Message

bp = Blueprint("reactions", __name__)


@bp.app_context_processor
def _for_votes() -> dict[str, Any]:
    return {"vote_reasons": vote_reasons, "comment_chars": COMMENT_CHARS}


_VOTES: tuple[Vote, ...] = get_args(Vote)
_REASONS: tuple[Reason, ...] = get_args(Reason)


@bp.post("/c/<public_id>/messages/<int:message_id>/choose")
@question_limits
def choose(public_id: str, message_id: int) -> BaseResponse:
    """Answer with an entry that was suggested; HTMX gets the turn, a plain form is sent to the page."""
    own = own_conversation(public_id)
    try:
        turn = services().answerer.choose(own, message_id, request.form.get("entry", 0, type=int))
    except NotSuggested:
        raise Problem(404, _("This was not suggested here. Reload the page and try again.")) from None
    except NoLongerTrue:
        return _gone(own)
    if not request.headers.get("HX-Request"):
        return redirect(url_for("chat.conversation", public_id=public_id), code=303)
    return appended(turn)


@bp.post("/c/<public_id>/messages/<int:message_id>/vote")
@question_limits
def vote(public_id: str, message_id: int) -> BaseResponse:
    """Note what the visitor thinks of an answer, in place of what they thought before; ``none`` takes it back."""
    own = own_conversation(public_id)
    given, reason, comment = _form()
    with services().database.write() as rows:
        answer = _votable(messages.get(rows, own.id, message_id))
        stored = None
        if given is None:
            feedback.withdraw(rows, answer.id, str(own.visitor_id))
        else:
            stored = feedback.give(rows, answer, str(own.visitor_id), given, reason=reason, comment=comment)
    services().answerer.feeds.announce(own.public_id, answer.id)  # other tabs show it too
    if not request.headers.get("HX-Request"):
        return redirect(url_for("chat.conversation", public_id=public_id, _anchor=f"m-{answer.id}"), code=303)
    return Response(message_frame(own, view_of(answer, None, stored)) + notice(""))


def _form() -> tuple[Vote | None, Reason | None, str]:
    """The vote (None to take it back), its reason and comment.

    Raises:
        Problem: 400 when a word is not ours or they do not go together, 413 when the comment is too long.
    """
    said, why = request.form.get("vote"), request.form.get("reason")
    given = next((vote for vote in _VOTES if vote == said), None)
    reason = next((reason for reason in _REASONS if reason == why), None)
    if (given is None and said != "none") or (why and (reason is None or given != "down")):
        raise Problem(400, _("The request cannot be read."))
    return given, reason, clean_comment(request.form.get("comment", ""))


def _votable(answer: Message | None) -> Message:
    if answer is None or answer.role == "visitor":
        raise Problem(404, _("There is nothing at this address."))
    if answer.status != "done":
        raise Problem(409, _("This answer is not complete."))
    return answer


def _gone(conversation: Conversation) -> Response:
    """The suggestion is no longer true: said above the question box, with the page as it stands."""
    problem = Problem(409, _("The shop has changed this answer in the meantime. Please ask your question again."))
    if request.headers.get("HX-Request"):
        raise problem
    return mark(
        Response(render_template("chat/page.html", **chat_state(conversation) | {"notice": problem.detail})), problem
    )
