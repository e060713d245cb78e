"""Tickets: visitors who want a person, what they said before, and that somebody has dealt with it. Plain forms."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast, get_args

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError

from webchat.storage import audit, conversations, messages, tickets
from webchat.storage.tables import TicketStatus
from webchat.web.admin.auth import SignedOut, current_operator
from webchat.web.admin.late import answer_late
from webchat.web.fragments import source_label
from webchat.web.i18n import local_time
from webchat.web.problems import Problem
from webchat.web.questions import clean_question
from webchat.web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from werkzeug.exceptions import HTTPException
    from werkzeug.wrappers import Response as BaseResponse

bp = Blueprint("tickets", __name__)

_PER_PAGE = 20
_MAX_PAGE = 1_000_000  # keeps the offset within what a database can count
_TRANSCRIPT = 20  # messages shown with a ticket


@bp.app_context_processor
def _waiting() -> dict[str, Any]:
    return {"tickets_waiting": tickets_waiting}


@bp.errorhandler(CSRFError)
@bp.errorhandler(SignedOut)
def sent_too_late(error: HTTPException) -> ResponseReturnValue:
    """Answer a page that outlived its session: nothing is done, and it says why."""
    return answer_late(error, "admin/_too_late.html", None)


@bp.get("/tickets")
def page() -> str:
    """Those that wait, oldest first, or those that were dealt with."""
    asked = request.args.get("status")
    status = cast("TicketStatus", asked if asked in get_args(TicketStatus) else "open")
    number = min(max(request.args.get("page", 1, type=int), 1), _MAX_PAGE)
    with services().database.read() as rows:
        found, total = tickets.listed(rows, status, limit=_PER_PAGE, offset=(number - 1) * _PER_PAGE)
        said = messages.newest_of(rows, [conversation.id for _, conversation in found], _TRANSCRIPT)
    return render_template(
        "admin/tickets.html",
        found=found,
        said=said,
        total=total,
        status=status,
        page=number,
        pages=max(1, math.ceil(total / _PER_PAGE)),
        titles={"open": _("Waiting"), "closed": _("Done")},
        local_time=local_time,
        source_label=source_label,
    )


@bp.post("/tickets/<int:ticket_id>/<any(close, reopen):action>")
def change(ticket_id: int, action: str) -> BaseResponse:
    """Note that a ticket has been dealt with, or that it has not after all."""
    with services().database.write() as rows:
        ticket = tickets.locked(rows, ticket_id)
        if ticket is None:
            flash(_("This is not there any more; the page shows what is."), "refused")
            return redirect(url_for(".page"), code=303)
        if action == "close":
            tickets.close(rows, ticket, current_operator().name)
        else:
            tickets.reopen(rows, ticket)
        audit.record(rows, current_operator().name, f"ticket.{action}", f"ticket {ticket_id}")
    sentence = _("Request %(number)d is done.") if action == "close" else _("Request %(number)d waits again.")
    flash(sentence % {"number": ticket_id}, "done")
    return redirect(url_for(".page", status=None if action == "close" else "closed"), code=303)


@bp.post("/tickets/<int:ticket_id>/reply")
def reply(ticket_id: int) -> BaseResponse:
    """Say something in the visitor's conversation, where it appears at once, as a person's words."""
    try:
        text = clean_question(request.form.get("text"))
    except Problem as problem:
        flash(problem.detail, "refused")
        return redirect(url_for(".page", _anchor=f"ticket-{ticket_id}"), code=303)
    with services().database.write() as rows:
        found = tickets.with_conversation(rows, ticket_id)
        if found is None:
            flash(_("This is not there any more; the page shows what is."), "refused")
            return redirect(url_for(".page"), code=303)
        conversation = found[1]
        conversations.touch(rows, conversation.id)
        holder = conversations.held_by(rows, conversation.id)
        if holder and holder[0] != current_operator().id:
            flash(_("Somebody else has taken this conversation. Not sent: %(text)s", text=text), "refused")
            return redirect(url_for(".page", _anchor=f"ticket-{ticket_id}"), code=303)
        said = messages.say_as_person(rows, conversation.id, text)
        audit.record(rows, current_operator().name, "ticket.reply", f"ticket {ticket_id}", message=said.id)
    services().answerer.feeds.announce(conversation.public_id, said.id)
    flash(_("The visitor sees it in the chat."), "done")
    return redirect(url_for(".page", _anchor=f"ticket-{ticket_id}"), code=303)


def tickets_waiting() -> int:
    """How many wait, for the navigation of every page that shows it."""
    if g.get("operator") is None:
        return 0
    with services().database.read() as rows:
        return tickets.count_open(rows)
