"""The rules' pages: order, switches, the form, and a box to try a message in. Plain forms, without a script."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError

from webchat.answering.rules.rulebook import usual_words
from webchat.storage import rules
from webchat.web.admin import rule_edits, rule_words
from webchat.web.admin.auth import SignedOut, current_operator
from webchat.web.admin.entries import Outdated
from webchat.web.admin.forms import has_controls
from webchat.web.admin.late import answer_late
from webchat.web.admin.rule_form import RuleForm
from webchat.web.i18n import local_time
from webchat.web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from werkzeug.exceptions import HTTPException
    from werkzeug.wrappers import Response as BaseResponse

    from webchat.answering.rules.rulebook import Tried
    from webchat.storage.tables import Rule

bp = Blueprint("rules", __name__)


@dataclass(frozen=True, slots=True)
class Trial:
    """What the test box shows: the message and its moment as they were typed, and what came of them."""

    message: str
    moment: str
    problem: str | None = None
    tried: tuple[Tried, ...] = ()
    answer: Tried | None = None
    text: str = ""
    tags: tuple[str, ...] = ()


@bp.context_processor
def _shown() -> dict[str, Any]:
    return {"words": rule_words, "local_time": local_time, "timezone": services().settings.timezone}


@bp.errorhandler(CSRFError)
@bp.errorhandler(SignedOut)
def sent_too_late(error: HTTPException) -> ResponseReturnValue:
    """Answer a page that outlived its session: nothing is done, nothing typed is lost, and it says why."""
    on_form = request.endpoint in ("admin.rules.new", "admin.rules.edit")
    return answer_late(error, "admin/_too_late.html", _form_as_sent if on_form else None)


@bp.get("/rules")
def rules_page() -> str:
    """All rules in their order."""
    return _list_page(Trial("", ""))


@bp.post("/rules/try")
def try_out() -> str:
    """What the rules as they are would do with a message."""
    return _list_page(_trial())


@bp.route("/rules/new", methods=["GET", "POST"])
def new() -> ResponseReturnValue:
    """Add a rule, in front of all others."""
    form = RuleForm()
    if not form.is_submitted():
        return _form_page(form)
    if response := _not_yet(form, None):
        return response
    try:
        with services().database.write() as rows:
            rule_edits.add(rows, current_operator(), form.content())
    except rule_edits.TooMany:
        return _form_page(form, full=rule_edits.MAX_RULES), HTTPStatus.CONFLICT
    return _done(_("Saved. It is tried first; move it down if another rule should go before it."))


@bp.route("/rules/<int:rule_id>", methods=["GET", "POST"])
def edit(rule_id: int) -> ResponseReturnValue:
    """Change a rule, unless someone else did since the form was opened."""
    rule = _stored(rule_id)
    form = RuleForm(shipped=rule.shipped if rule else None)
    if not form.is_submitted():
        if rule is None:
            abort(HTTPStatus.NOT_FOUND)
        form.show(rule)
        return _form_page(form, rule)
    if response := _not_yet(form, rule):
        return response
    try:
        with services().database.write() as rows:
            rule_edits.edit(rows, current_operator(), rule_id, form.content(), seen=form.seen.data or "")
    except Outdated:
        return _outdated(form, rule_id), HTTPStatus.CONFLICT
    return _done(_("Saved. It holds from the next question on."))


@bp.post("/rules/<int:rule_id>/switch")
def switch(rule_id: int) -> BaseResponse:
    """Switch a rule on or off."""
    with services().database.write() as rows:
        rule = rule_edits.switch(rows, current_operator(), rule_id, enabled=request.form.get("enabled") == "1")
    sentence = _("“%(name)s” is on.") if rule and rule.enabled else _("“%(name)s” is off.")
    return _done(sentence % {"name": rule_words.name_of(rule)}, rule) if rule else _gone()


@bp.post("/rules/<int:rule_id>/move")
def move(rule_id: int) -> BaseResponse:
    """Move a rule one place up or down."""
    steps = {"up": -1, "down": 1}.get(request.form.get("where", ""))
    if steps is None:
        abort(HTTPStatus.BAD_REQUEST)
    with services().database.write() as rows:
        rule = rule_edits.move(rows, current_operator(), rule_id, steps)
    return _done(None, rule) if rule else _gone()


@bp.post("/rules/<int:rule_id>/put-back")
def put_back(rule_id: int) -> BaseResponse:
    """Give a rule that came with the site its first words and condition again."""
    with services().database.write() as rows:
        rule = rule_edits.put_back(rows, current_operator(), rule_id)
    if rule is None:
        abort(HTTPStatus.NOT_FOUND)
    return _done(_("“%(name)s” is as it came.", name=rule_words.name_of(rule)), rule)


@bp.post("/rules/<int:rule_id>/delete")
def delete(rule_id: int) -> BaseResponse:
    """Delete a rule; the list offers to undo it."""
    with services().database.write() as rows:
        rule = rule_edits.delete(rows, current_operator(), rule_id)
    return _done(_("“%(name)s” was deleted.", name=rule_words.name_of(rule))) if rule else _gone()


@bp.post("/rules/undo")
def undo() -> BaseResponse:
    """Bring back the rule that this operator deleted last."""
    try:
        with services().database.write() as rows:
            rule = rule_edits.restore(rows, current_operator())
    except rule_edits.TooMany:
        flash(_("There are %(most)d rules already; delete one first.", most=rule_edits.MAX_RULES), "refused")
        return redirect(url_for(".rules_page"), code=303)
    if rule is None:
        return _done(_("There is nothing to undo any more."))
    return _done(_("“%(name)s” is back.", name=rule_words.name_of(rule)), rule)


def _list_page(trial: Trial) -> str:
    with services().database.read() as rows:
        found = rules.in_order(rows)
        deleted = rule_edits.deleted_name(rows, current_operator())
    return render_template("admin/rules.html", rules=found, deleted=deleted, trial=trial)


def _not_yet(form: RuleForm, rule: Rule | None) -> ResponseReturnValue | None:
    """The response to a form that asks for a trial, or cannot be saved; None when it can."""
    if "again" in request.form:  # sent by someone who was signed out, and is signed in again
        return _form_page(form, rule)
    if not form.validate():
        return _form_page(form, rule), HTTPStatus.UNPROCESSABLE_ENTITY
    if "try" in request.form:
        return _form_page(form, rule, trial=_trial(form.draft(rule)))
    return None


def _form_page(form: RuleForm, rule: Rule | None = None, *, trial: Trial | None = None, **state: Any) -> str:
    """The form as it was sent."""
    trial = trial or Trial(request.form.get("message", ""), request.form.get("moment", ""))
    usual = usual_words(rule) if rule and rule.shipped else None
    return render_template("admin/rule.html", form=form, rule=rule, trial=trial, usual=usual, **state)


def _form_as_sent(*, signed_out: bool) -> str:
    rule_id = (request.view_args or {}).get("rule_id")
    rule = _stored(rule_id) if rule_id else None
    form = RuleForm(shipped=rule.shipped if rule else None)
    if signed_out:  # whoever this is sees what they sent, and nothing that is stored
        trial = Trial(request.form.get("message", ""), request.form.get("moment", ""))
        return render_template("admin/rule.html", form=form, rule=None, trial=trial, usual=None, signed_out=True)
    return _form_page(form, rule, too_old=True)


def _outdated(form: RuleForm, rule_id: int) -> str:
    """The form as it was sent, beside what is stored. A rule that was deleted meanwhile can be saved as a new one."""
    rule = _stored(rule_id)
    if rule is not None:
        form.seen.data = rule_edits.stamp(rule)  # the page shows the other version, so saving again is meant
    return _form_page(form, rule, outdated=rule, gone=rule is None)


def _trial(draft: Rule | None = None) -> Trial:
    """Try the message that was typed, at the moment that was chosen."""
    message, typed = request.form.get("message", ""), request.form.get("moment", "")
    moment = _moment(typed)
    most = services().settings.max_message_chars
    if not message.strip() or has_controls(message, allowed="\r\n\t") or len(message) > most:
        return Trial(message, typed, _("Write a message of at most %(most)d ordinary characters.", most=most))
    if moment is None:
        return Trial(message, typed, _("Write the time as in 2026-12-31 23:30, or leave it empty."))
    answerer = services().answerer
    tried = answerer.rules.try_out(message, moment, draft)
    answer = next((one for one in tried if one.answers), None)
    text = answer and answerer.rules.reply_of(answer.rule, message, moment, model=services().engine.name)
    tags = dict.fromkeys(one.rule.tag for one in tried if one.applies and one.rule.action == "tag")
    return Trial(message, typed, None, tuple(tried), answer, text or "", tuple(tags))


def _moment(typed: str) -> datetime | None:
    if not typed:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(typed).replace(tzinfo=ZoneInfo(services().settings.timezone))
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _stored(rule_id: int) -> Rule | None:
    with services().database.read() as rows:
        return rules.get(rows, rule_id)


def _done(sentence: str | None, rule: Rule | None = None) -> BaseResponse:
    """Back to the list, at the rule's place in it."""
    if sentence:
        flash(sentence, "done")
    return redirect(url_for(".rules_page", _anchor=f"rule-{rule.id}" if rule else None), code=303)


def _gone() -> BaseResponse:
    return _done(_("This rule had been deleted before."))
