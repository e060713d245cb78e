"""The inbox: what visitors asked and no entry settled, and what to do about it. Plain forms, without a script."""

from __future__ import annotations

import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast, get_args

from flask import Blueprint, flash, g, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError

from webchat.storage import faq, inbox
from webchat.storage.tables import GroupStatus
from webchat.web.admin import entries, inbox_edits, rehearsals
from webchat.web.admin.auth import SignedOut, current_operator
from webchat.web.admin.forms import has_controls
from webchat.web.admin.late import answer_late
from webchat.web.i18n import local_time
from webchat.web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from werkzeug.exceptions import HTTPException
    from werkzeug.wrappers import Response as BaseResponse

    from webchat.answering.faq.checking import Report

bp = Blueprint("inbox", __name__)

_PER_PAGE = 20
_MAX_SEARCH_CHARS = 200
_MAX_PAGE = 1_000_000  # keeps the offset within what a database can count
_CHOICES = 50  # entries that a group can be given to, besides those its visitors met


@bp.app_context_processor
def _waiting() -> dict[str, Any]:
    return {"inbox_waiting": inbox_waiting}


@bp.context_processor
def _shown() -> dict[str, Any]:
    outcomes = {
        "model": _("answered by the AI"),
        "suggested": _("with suggestions"),
        "refused": _("left to a person"),
        "voted_down": _("👎 on a ready answer"),
    }
    return {"local_time": local_time, "outcomes": outcomes}


@bp.errorhandler(CSRFError)
@bp.errorhandler(SignedOut)
def sent_too_late(error: HTTPException) -> ResponseReturnValue:
    """Answer a page that outlived its session: nothing is done, and it says why."""
    return answer_late(error, "admin/_too_late.html", None)


@bp.errorhandler(inbox_edits.Gone)
def gone(_error: inbox_edits.Gone) -> ResponseReturnValue:
    """Answer a page on which a group or an entry stands that is not there any more."""
    flash(_("This is not there any more; the page shows what is."), "refused")
    return redirect(_back(), code=303)


@bp.errorhandler(entries.AnsweredElsewhere)
def answered_elsewhere(error: entries.AnsweredElsewhere) -> ResponseReturnValue:
    """Answer who would give an entry what another one answers."""
    clash = error.clashes[0]
    sentence = _("“%(phrasing)s” is answered by “%(question)s” already, so nothing was changed.")
    flash(sentence % {"phrasing": clash.phrasing, "question": clash.question}, "refused")
    return redirect(_back(), code=303)


@bp.errorhandler(entries.Full)
def full(_error: entries.Full) -> ResponseReturnValue:
    """Answer who would give an entry more questions than its form takes."""
    flash(_("An entry has at most %(most)d questions, so nothing was changed.", most=entries.MAX_QUESTIONS), "refused")
    return redirect(_back(), code=303)


@bp.get("/inbox")
def page() -> str:
    """Groups of questions: those that wait, or those that were settled or put away."""
    text, status, number = _wanted()
    with services().database.read() as rows:
        found, total = inbox.listed(rows, status, text, limit=_PER_PAGE, offset=(number - 1) * _PER_PAGE)
        pages = max(1, math.ceil(total / _PER_PAGE))
        if number > pages:  # groups were settled, or someone typed the address
            number = pages
            found, total = inbox.listed(rows, status, text, limit=_PER_PAGE, offset=(number - 1) * _PER_PAGE)
        of_groups = {each.group.entry_id: faq.get(rows, each.group.entry_id) for each in found if each.group.entry_id}
        choices = faq.top(rows, _CHOICES)
        undoable = inbox_edits.undoable(rows, current_operator())
    back = url_for(".page", q=text or None, status=status, page=number if number > 1 else None)
    return render_template(
        "admin/inbox.html",
        groups=found,
        total=total,
        entries=of_groups,
        choices=choices,
        undoable=undoable,
        search={"q": text or None, "status": status},
        page=number,
        pages=pages,
        back=back,
        titles={"open": _("Waiting"), "answered": _("Settled"), "dismissed": _("Put aside")},
    )


@bp.post("/inbox/<int:group_id>/write")
def write_entry(group_id: int) -> BaseResponse:
    """Begin an entry for a group, and go to its form."""
    with services().database.write() as rows:
        entry = inbox_edits.write_entry(rows, current_operator(), group_id, request.form.getlist("wording"))
    return redirect(url_for("admin.faq.edit", entry_id=entry.id, back=_back()), code=303)


@bp.post("/inbox/<int:group_id>/join")
def join(group_id: int) -> ResponseReturnValue:
    """Let an entry answer what a group asks, unless that takes answers from other questions and nobody has seen it."""
    entry_id = request.form.get("entry", 0, type=int)
    with services().database.read() as rows:
        wordings = inbox_edits.wordings_of(rows, group_id, request.form.getlist("wording"))
    if confirm := _to_confirm(rehearsals.of_stored(entry_id, wordings)):
        return confirm
    with services().database.write() as rows:
        entry = inbox_edits.join(rows, current_operator(), group_id, entry_id, wordings)
    return _done(_("From now on “%(question)s” answers this.", question=entry.question))


@bp.post("/inbox/<int:group_id>/deny")
def deny(group_id: int) -> ResponseReturnValue:
    """Keep an entry from the questions that it answered amiss, unless others go with them and nobody has seen it."""
    entry_id = request.form.get("entry", 0, type=int)
    with services().database.read() as rows:
        amiss = inbox.denied(rows, group_id, entry_id)
    if confirm := _to_confirm(rehearsals.of_stored(entry_id, denied=amiss) if amiss else None):
        return confirm
    with services().database.write() as rows:
        entry, denied = inbox_edits.deny(rows, current_operator(), group_id, entry_id)
    if not denied:
        return _done(
            _("Nothing was changed: “%(question)s” is asked for in these very words.", question=entry.question)
        )
    return _done(_("“%(question)s” does not answer this any more.", question=entry.question))


def _to_confirm(report: Report | None) -> ResponseReturnValue | None:
    """The page that shows what a change takes away, until somebody has seen it."""
    if report is None or not report.takes_something_away or "anyway" in request.form:
        return None
    return render_template("admin/inbox_confirm.html", report=report, sent=request.form), HTTPStatus.CONFLICT


@bp.post("/inbox/<int:group_id>/dismiss")
def dismiss(group_id: int) -> BaseResponse:
    """Put a group away."""
    with services().database.write() as rows:
        group = inbox_edits.dismiss(rows, current_operator(), group_id)
    return _done(_("“%(question)s” was put away.", question=group.question))


@bp.post("/inbox/<int:group_id>/reopen")
def reopen(group_id: int) -> BaseResponse:
    """Take a group back into the inbox."""
    with services().database.write() as rows:
        group = inbox_edits.reopen(rows, current_operator(), group_id)
    return _done(_("“%(question)s” waits in the inbox again.", question=group.question))


@bp.post("/inbox/undo")
def undo() -> BaseResponse:
    """Undo what this operator did last."""
    try:
        with services().database.write() as rows:
            question = inbox_edits.undo(rows, current_operator())
    except entries.Outdated:
        flash(_("Someone has changed this since, so it stays as it is."), "refused")
        return redirect(_back(), code=303)
    if question is None:
        return _done(_("There is nothing to undo any more."))
    return _done(_("“%(question)s” is as it was before.", question=question))


def inbox_waiting() -> int:
    """How many groups wait, for the navigation of every page that shows it."""
    if g.get("operator") is None:
        return 0
    with services().database.read() as rows:
        return inbox.open_groups(rows)


def _wanted() -> tuple[str, GroupStatus, int]:
    text = "".join(char for char in request.args.get("q", "") if not has_controls(char))
    asked = request.args.get("status")
    status = cast("GroupStatus", asked if asked in get_args(GroupStatus) else "open")
    number = request.args.get("page", 1, type=int)
    return text.strip()[:_MAX_SEARCH_CHARS], status, min(max(number, 1), _MAX_PAGE)


def _done(sentence: str) -> BaseResponse:
    flash(sentence, "done")
    return redirect(_back(), code=303)


def _back() -> str:
    """The list as the operator left it."""
    status, text, number = (request.form.get(name) for name in ("status", "q", "page"))
    known = status if status in get_args(GroupStatus) else None
    return url_for(
        "admin.inbox.page",
        status=known,
        q=(text or "")[:_MAX_SEARCH_CHARS] or None,
        page=number if (number or "").isdigit() else None,
    )
