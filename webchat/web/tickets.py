"""The way to a person: a short form that becomes a ticket with the conversation as its transcript. Needs no script."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask_babel import format_datetime
from flask_babel import gettext as _

from webchat.answering.rules.hours import read_hours
from webchat.storage import answer_policy, conversations, messages, tickets
from webchat.storage.database import Conflict
from webchat.storage.tables import utc_now
from webchat.web.i18n import language, local_time
from webchat.web.limits import question_limits
from webchat.web.problems import Problem
from webchat.web.questions import clean_line, clean_question, client_id
from webchat.web.services import services
from webchat.web.visitors import opening, own_conversation, visitor

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from webchat.storage.answer_policy import AnswerPolicy
    from webchat.storage.database import Session
    from webchat.storage.tables import Conversation, Ticket

bp = Blueprint("tickets", __name__)

WHAT_CHARS, CONTACT_CHARS = 1000, 200
TICKET = "ticket"  # the reason of the message that says so


@bp.get("/c/<public_id>/person")
def form(public_id: str) -> str:
    """Ask what it is about and how to reach the visitor; ``new`` where nothing has been said yet."""
    return _page(_conversation(public_id), {}, {})


@bp.post("/c/<public_id>/person")
@question_limits
def send(public_id: str) -> ResponseReturnValue:
    """Store the wish, and say in the conversation what happens next."""
    where = _conversation(public_id)
    values, problems = _read()
    if problems:
        return _page(where, values, problems), HTTPStatus.UNPROCESSABLE_ENTITY
    try:
        with services().database.write() as rows:
            conversation = _store(rows, where, values)
    except Conflict:  # sent twice at the same moment
        with services().database.read() as rows:
            before = tickets.with_client_id(rows, values["client_id"])
        if before is None:
            raise
        conversation = before[1]
    with services().database.read() as rows:
        newest = messages.thread(rows, conversation.id, limit=2)
    services().answerer.feeds.announce(conversation.public_id, *(message.id for message in newest))
    return redirect(url_for("chat.conversation", public_id=conversation.public_id), code=303)


def _conversation(public_id: str) -> Conversation | None:
    visitor()
    return None if public_id == "new" else own_conversation(public_id)


def _read() -> tuple[dict[str, str], dict[str, str]]:
    """What was typed, and what is wrong with it, by field."""
    sent = {name: request.form.get(name, "") for name in ("what", "contact", "consent", "client_id")}
    problems = {}
    for name, clean, most in (("what", clean_question, WHAT_CHARS), ("contact", clean_line, CONTACT_CHARS)):
        try:
            sent[name] = clean(sent[name])
            if len(sent[name]) > most:
                problems[name] = _("At most %(most)d characters fit.", most=most)
        except Problem:
            problems[name] = _("Please fill this in.")
    if not sent["consent"]:
        problems["consent"] = _("Without your consent nobody may write to you.")
    sent["client_id"] = client_id(sent["client_id"])
    return sent, problems


def _store(rows: Session, where: Conversation | None, values: dict[str, str]) -> Conversation:
    if before := tickets.with_client_id(rows, values["client_id"]):
        return before[1]
    conversation = where or _open(rows, values["what"])
    conversations.touch(rows, conversation.id)
    ticket = tickets.add(rows, conversation.id, values["client_id"], what=values["what"], contact=values["contact"])
    asked = messages.add_question(rows, conversation.id, values["what"], None, reason=TICKET)
    messages.add_answer(
        rows,
        conversation_id=conversation.id,
        question_id=asked.id,
        source="rule",
        status="done",
        finish_reason="stop",
        text=_what_happens_next(ticket, answer_policy.read(rows)),
        reason=TICKET,
    )
    return conversation


def _open(rows: Session, what: str) -> Conversation:
    new = opening()
    return conversations.open_conversation(
        rows, visitor_id=new.visitor_id, channel=new.channel, language=new.language, title=what, page=new.page
    )


def _what_happens_next(ticket: Ticket, policy: AnswerPolicy) -> str:
    sentence = _(
        "Request %(number)d is with the shop. A member of staff will get back to you by the contact you gave: "
        "%(contact)s. You can go on asking here meanwhile.",
        number=ticket.id,
        contact=ticket.contact,
    )
    hours = _about_hours(policy)
    return f"{sentence} {hours}" if hours else sentence


def _about_hours(policy: AnswerPolicy) -> str:
    """Whether staff are there now, and when else; empty when no operator has said."""
    hours = read_hours(policy.hours)
    if hours is None:
        return ""
    now = local_time(utc_now())
    if hours.covers(now):
        return _("Our staff are there at this time.")
    opening = hours.next_opening(now)
    if opening is None:
        return _("Our staff are not there at this time.")
    when = format_datetime(opening, "M月d日 EEEE HH:mm" if language() == "zh" else "EEEE, MMM d, HH:mm", rebase=False)
    return _("Our staff are not there at this time. They are back on %(when)s.", when=when)


def _page(where: Conversation | None, values: dict[str, str], problems: dict[str, str]) -> str:
    with services().database.read() as rows:
        policy = answer_policy.read(rows)
    shown: dict[str, Any] = {
        "conversation": where,
        "public_id": where.public_id if where else "new",
        "values": values,
        "problems": problems,
        "client_id": values.get("client_id") or secrets.token_urlsafe(12),
        "hours": _about_hours(policy),
        "contact": policy.contact_zh if language() == "zh" else policy.contact_en,
        "what_chars": WHAT_CHARS,
        "contact_chars": CONTACT_CHARS,
    }
    return render_template("chat/person.html", **shown)
