"""The FAQ pages: find, add, edit, publish, disable and delete entries. Every form works without JavaScript."""

from __future__ import annotations

import math
import secrets
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast, get_args

from flask import Blueprint, Response, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_babel import ngettext
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import RequestEntityTooLarge

from webchat.answering import example_faq
from webchat.storage import faq
from webchat.storage.tables import EntryStatus
from webchat.web.admin import entries, rehearsals
from webchat.web.admin import undo as deleted
from webchat.web.admin.auth import SignedOut, admin_address, current_operator
from webchat.web.admin.forms import MAX_ANSWER_CHARS, EntryForm, has_controls
from webchat.web.admin.late import answer_late
from webchat.web.i18n import local_time
from webchat.web.markdown import render_markdown
from webchat.web.services import services

if TYPE_CHECKING:
    from collections.abc import Sequence

    from flask.typing import ResponseReturnValue
    from werkzeug.exceptions import HTTPException
    from werkzeug.wrappers import Response as BaseResponse

    from webchat.storage.tables import Entry

bp = Blueprint("faq", __name__)

_PER_PAGE = 25
_MAX_SEARCH_CHARS = 200
_MAX_PAGE = 1_000_000  # keeps the offset within what a database can count


@bp.context_processor
def _shown() -> dict[str, Any]:
    statuses = {"published": _("Published"), "draft": _("Draft"), "disabled": _("Disabled")}
    return {
        "local_time": local_time,
        "render_markdown": render_markdown,
        "statuses": statuses,
        "back": _back(),
        "now": datetime.now(UTC),
        "timezone": services().settings.timezone,
    }


@bp.errorhandler(CSRFError)
@bp.errorhandler(SignedOut)
def sent_too_late(error: HTTPException) -> ResponseReturnValue:
    """Answer a page that outlived its session: nothing is done, nothing typed is lost, and it says why."""
    on_form = request.endpoint in ("admin.faq.new", "admin.faq.edit")
    fragment = "admin/_no_preview.html" if on_form else "admin/_too_late.html"
    return answer_late(error, fragment, _form_as_sent if on_form else None)


@bp.get("/")
def home() -> BaseResponse:
    """Where operators begin."""
    return redirect(url_for(".entries_page"), code=303)


@bp.get("/faq")
def entries_page() -> str:
    """The entries, all or those that were searched for; HTMX gets the list alone."""
    template = "admin/_searched.html" if _wants_fragment() else "admin/entries.html"
    return render_template(template, **_results())


@bp.route("/faq/new", methods=["GET", "POST"])
def new() -> ResponseReturnValue:
    """Add an entry, as a draft unless it is to be published."""
    form = EntryForm()
    if not form.is_submitted():
        form.seen.data = secrets.token_urlsafe(12)
        return _form_page(form)
    if refusal := _not_yet(form):
        return refusal
    status: EntryStatus = "published" if "publish" in request.form else "draft"
    report = rehearsals.of_form(form.draft(), None, publish=status == "published")
    if report and report.takes_something_away and "anyway" not in request.form:
        return _form_page(form, report=report), HTTPStatus.CONFLICT
    try:
        with services().database.write() as rows:
            entry = entries.add(rows, current_operator(), form.draft(), status, form=form.seen.data or "")
    except entries.AnsweredElsewhere as refused:
        return _form_page(form, clashes=refused.clashes), HTTPStatus.CONFLICT
    flash(_saved(entry) + rehearsals.newly_answered(report), "done")
    return redirect(_back(), code=303)


@bp.route("/faq/<int:entry_id>", methods=["GET", "POST"])
def edit(entry_id: int) -> ResponseReturnValue:
    """Change an entry, unless someone else did since the form was opened."""
    form = EntryForm()
    if not form.is_submitted():
        return _opened(form, entry_id)
    if refusal := _not_yet(form, entry_id):
        return refusal
    with services().database.read() as rows:
        draft = form.draft(faq.whole(rows, entry_id))
    seen, publish = form.seen.data or "", "publish" in request.form
    report = rehearsals.of_form(draft, entry_id, publish=publish)
    if report and report.takes_something_away and "anyway" not in request.form:
        return _form_page(form, entry_id, report=report), HTTPStatus.CONFLICT
    try:
        with services().database.write() as rows:
            entry = entries.edit(rows, current_operator(), entry_id, draft, seen=seen, publish=publish)
    except entries.AnsweredElsewhere as refused:
        return _form_page(form, entry_id, clashes=refused.clashes), HTTPStatus.CONFLICT
    except entries.Outdated:
        return _form_page(form, entry_id, outdated=True), HTTPStatus.CONFLICT
    flash(_saved(entry) + rehearsals.newly_answered(report), "done")
    return redirect(_back(), code=303)


@bp.post("/faq/<int:entry_id>/status")
def set_status(entry_id: int) -> ResponseReturnValue:
    """Publish or disable an entry; HTMX gets its row."""
    status = request.form.get("status")
    if status not in ("published", "disabled"):
        abort(HTTPStatus.BAD_REQUEST)
    report = rehearsals.of_stored(entry_id) if status == "published" else rehearsals.of_silence(entry_id)
    if report and report.takes_something_away and status == "published":
        return _to_the_form(entry_id, _("Publishing it would change other answers. Publish it here to see which."))
    try:
        with services().database.write() as rows:
            entry = entries.set_status(rows, current_operator(), entry_id, cast("EntryStatus", status))
    except entries.AnsweredElsewhere as refused:
        return _not_published(entry_id, refused.clashes), HTTPStatus.CONFLICT
    except entries.Unanswered:
        return _to_the_form(entry_id, _("Write the answer first; then publish it."))
    if entry is None:
        abort(HTTPStatus.NOT_FOUND)
    sentence = _saved(entry) + rehearsals.answered_by_others(report)
    if _wants_fragment():
        return render_template("admin/_changed_entry.html", entry=entry, sentence=sentence)
    flash(sentence, "done")
    return redirect(_back(), code=303)


@bp.post("/faq/<int:entry_id>/delete")
def delete(entry_id: int) -> BaseResponse:
    """Delete an entry; the list offers to undo it."""
    report = rehearsals.of_silence(entry_id)
    with services().database.write() as rows:
        entry = entries.delete(rows, current_operator(), entry_id)
    if entry is None:
        flash(_("This entry had been deleted before."), "done")
    else:
        sentence = _("“%(question)s” was deleted.", question=entry.question)
        flash(sentence + rehearsals.answered_by_others(report), "done")
    return redirect(_back(), code=303)


@bp.post("/faq/undo")
def undo() -> BaseResponse:
    """Bring back what this operator deleted last."""
    with services().database.write() as rows:
        restored = entries.restore(rows, current_operator())
    sentence = ngettext("%(num)d entry is back.", "%(num)d entries are back.", len(restored)) + _drafts(restored)
    flash(sentence if restored else _("There is nothing to undo any more."), "done")
    return redirect(url_for(".entries_page"), code=303)


@bp.post("/faq/example")
def load_example() -> BaseResponse:
    """Add the example FAQ; what other entries answer already comes in as drafts."""
    with services().database.write() as rows:
        added = entries.load_example(rows, current_operator())
    sentence = ngettext("%(num)d example entry was added.", "%(num)d example entries were added.", len(added))
    flash(sentence + _drafts(added), "done")
    return redirect(url_for(".entries_page"), code=303)


@bp.post("/faq/example/remove")
def remove_example() -> BaseResponse:
    """Delete the example FAQ; the list offers to undo it."""
    with services().database.write() as rows:
        removed = entries.remove_example(rows, current_operator())
    flash(ngettext("%(num)d example entry was removed.", "%(num)d example entries were removed.", removed), "done")
    return redirect(url_for(".entries_page"), code=303)


def _results() -> dict[str, Any]:
    """Everything the list shows."""
    text, status, page = _search_wanted()
    with services().database.read() as rows:
        found, total = faq.search(rows, text, status, _PER_PAGE, (page - 1) * _PER_PAGE)
        pages = max(1, math.ceil(total / _PER_PAGE))
        if page > pages:  # entries were deleted, or someone typed the address
            page = pages
            found, total = faq.search(rows, text, status, _PER_PAGE, (page - 1) * _PER_PAGE)
        filtered = bool(text or status)
        return {
            "entries": found,
            "total": total,
            "any_entries": bool(total or (filtered and faq.search(rows, "", limit=0)[1])),
            "example_size": faq.batch_size(rows, example_faq.BATCH),
            "deleted": deleted.kept_questions(rows, current_operator()),
            "search": {"q": text or None, "status": status},
            "page": page,
            "pages": pages,
            "back": url_for(".entries_page", q=text or None, status=status, page=page if page > 1 else None),
        }


def _search_wanted() -> tuple[str, EntryStatus | None, int]:
    text = "".join(char for char in request.args.get("q", "") if not has_controls(char))
    status = request.args.get("status")
    page = request.args.get("page", 1, type=int)
    known = cast("EntryStatus", status) if status in get_args(EntryStatus) else None
    return text.strip()[:_MAX_SEARCH_CHARS], known, min(max(page, 1), _MAX_PAGE)


def _form_as_sent(*, signed_out: bool) -> str:
    form = EntryForm()
    if signed_out:  # whoever this is sees what they sent, and nothing that is stored
        return render_template("admin/entry.html", form=form, entry=None, signed_out=True)
    return _form_page(form, (request.view_args or {}).get("entry_id"), too_old=True)


def _opened(form: EntryForm, entry_id: int) -> str:
    with services().database.read() as rows:
        entry = faq.whole(rows, entry_id)
    if entry is None:
        abort(HTTPStatus.NOT_FOUND)
    form.show(entry)
    return render_template("admin/entry.html", form=form, entry=entry)


def _not_yet(form: EntryForm, entry_id: int | None = None) -> ResponseReturnValue | None:
    """The response to a form that asks for a preview or cannot be saved; None when it can."""
    if "preview" in request.form:
        preview = render_markdown(form.draft().answer[:MAX_ANSWER_CHARS])
        if _wants_fragment():
            return render_template("admin/_preview.html", preview=preview)
        return _form_page(form, entry_id, preview=preview)
    return None if form.validate() else (_form_page(form, entry_id), HTTPStatus.UNPROCESSABLE_ENTITY)


def _form_page(form: EntryForm, entry_id: int | None = None, *, outdated: bool = False, **state: Any) -> str:
    """The form as it was sent. An entry that was deleted meanwhile can be saved as a new one."""
    entry = None
    if entry_id is not None:
        with services().database.read() as rows:
            entry = faq.whole(rows, entry_id)
        if entry is not None and outdated:
            form.seen.data = entries.stamp(entry)  # the page shows the other version, so saving again is meant
    gone = entry_id is not None and entry is None
    return render_template("admin/entry.html", form=form, entry=entry, outdated=outdated, gone=gone, **state)


def _not_published(entry_id: int, clashes: Sequence[entries.Clash]) -> str:
    if _wants_fragment():
        return render_template("admin/_not_published.html", clashes=clashes)
    with services().database.read() as rows:
        entry = faq.whole(rows, entry_id)
    form = EntryForm(formdata=None)
    if entry is not None:
        form.show(entry)
    return render_template("admin/entry.html", form=form, entry=entry, clashes=clashes)


def _to_the_form(entry_id: int, sentence: str) -> BaseResponse:
    """To the form of an entry that cannot be published from the list, as HTMX and browsers each follow."""
    flash(sentence, "refused")
    form = url_for(".edit", entry_id=entry_id)
    return Response(headers={"HX-Redirect": form}) if _wants_fragment() else redirect(form, code=303)


def _saved(entry: Entry) -> str:
    now = datetime.now(UTC)
    if entry.status == "published" and entry.valid_until and entry.valid_until <= now:
        return _("Saved. Its time is over, so visitors do not get this answer.")
    if entry.status == "published" and entry.valid_from and entry.valid_from > now:
        return _("Saved. Visitors get this answer from the time on that you gave it.")
    sentences = {
        "published": _("Saved. Visitors get this answer from now on."),
        "draft": _("Saved as a draft. Visitors do not see it yet."),
        "disabled": _("Saved. Visitors do not get this answer."),
    }
    return sentences[entry.status]


def _drafts(added: Sequence[Entry]) -> str:
    """A second sentence, when some of the entries that were added are drafts."""
    drafts = sum(entry.status == "draft" for entry in added)
    return " " + ngettext("%(num)d of them is a draft.", "%(num)d of them are drafts.", drafts) if drafts else ""


def _back() -> str:
    """The search and page from which the operator came, else the list."""
    try:
        return admin_address(request.values.get("back"))
    except RequestEntityTooLarge:  # the page that says so wants a way back too
        return admin_address(request.args.get("back"))


def _wants_fragment() -> bool:
    return "HX-Request" in request.headers
