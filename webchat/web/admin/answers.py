"""The page that says who may answer what: the policy, banned words, and how visitors reach a person."""

from __future__ import annotations

from dataclasses import asdict, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Blueprint, flash, g, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError

from webchat.storage import answer_policy, audit, settings
from webchat.storage.database import Conflict
from webchat.web.admin.auth import SignedOut, current_operator, signed_in_operator
from webchat.web.admin.forms import AnswerPolicyForm
from webchat.web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from werkzeug.exceptions import HTTPException
    from werkzeug.wrappers import Response as BaseResponse

    from webchat.storage.answer_policy import AnswerPolicy
    from webchat.storage.database import Session

bp = Blueprint("answers", __name__)


@bp.errorhandler(CSRFError)
@bp.errorhandler(SignedOut)
def sent_too_late(_error: HTTPException) -> ResponseReturnValue:
    """Answer a page that outlived its session: nothing is done, and nothing typed is lost."""
    g.operator = signed_in_operator()
    signed_out = g.operator is None
    status = HTTPStatus.UNAUTHORIZED if signed_out else HTTPStatus.BAD_REQUEST
    return _page(AnswerPolicyForm(), signed_out=signed_out, too_old=not signed_out), status


@bp.route("/answers", methods=["GET", "POST"])
def page() -> ResponseReturnValue:
    """Show the policy, or change it unless someone else did since the page was opened."""
    form = AnswerPolicyForm()
    if not form.is_submitted():
        with services().database.read() as rows:
            form.show(answer_policy.read(rows))
        return _page(form)
    if not form.validate():
        return _page(form), HTTPStatus.UNPROCESSABLE_ENTITY
    outdated = _saved_unless_outdated(form.policy())
    if outdated:
        form.seen.data = outdated.changes  # the page shows the other version, so saving again is meant
        return _page(form, outdated=outdated), HTTPStatus.CONFLICT
    flash(_("Saved. The next answer follows it."), "done")
    return redirect(url_for(".page"), code=303)


@bp.post("/answers/undo")
def undo() -> BaseResponse:
    """Bring back what this operator changed last, unless someone else has changed it again."""
    with services().database.write() as rows:
        undone = _undo(rows)
    sentence = _("It is as it was before.") if undone else _("There is nothing to undo any more.")
    flash(sentence, "done")
    return redirect(url_for(".page"), code=303)


def _page(form: AnswerPolicyForm, **state: Any) -> str:
    with services().database.read() as rows:
        before = None if g.get("operator") is None else _before(rows)
    timezone = services().settings.timezone
    shown = {"form": form, "modes": _modes(), "undo": before is not None, "timezone": timezone}
    return render_template("admin/answers.html", **shown, **state)


def _modes() -> dict[str, tuple[str, str]]:
    """The choices, each with its one sentence."""
    return {
        "careful": (
            _("Careful"),
            _(
                "Questions about the shop are answered from the FAQ alone; what it does not hold is left to a person. "
                "Everything else, such as writing or translating, goes to the AI."
            ),
        ),
        "open": (
            _("Open"),
            _("The AI answers whatever the FAQ does not, questions about the shop too. It may be wrong."),
        ),
        "faq_only": (
            _("FAQ only"),
            _("The AI answers nothing; what the FAQ does not hold is left to a person."),
        ),
    }


def _saved_unless_outdated(wanted: AnswerPolicy) -> AnswerPolicy | None:
    try:
        with services().database.write() as rows:
            return _change(rows, wanted)
    except Conflict:  # of two operators who saved the very first change at once, this is the second
        with services().database.read() as rows:
            return answer_policy.read(rows)


def _change(rows: Session, wanted: AnswerPolicy) -> AnswerPolicy | None:
    """Store the policy and what undoes it; the other version, when this one was not made from it."""
    stored = answer_policy.read(rows, lock=True)
    if stored.changes != wanted.changes:
        return stored
    answer_policy.save(rows, replace(wanted, changes=stored.changes + 1))
    settings.put(rows, _undo_key(), asdict(stored))
    audit.record(rows, current_operator().name, "answers.change", "answer policy", before=asdict(stored))
    return None


def _undo(rows: Session) -> bool:
    stored, before = answer_policy.read(rows, lock=True), _before(rows)
    if not settings.remove(rows, _undo_key()) or before is None:
        return False
    answer_policy.save(rows, replace(before, changes=stored.changes + 1))
    audit.record(rows, current_operator().name, "answers.undo", "answer policy", before=asdict(stored))
    return True


def _before(rows: Session) -> AnswerPolicy | None:
    """What this operator can bring back."""
    stored = settings.get(rows, _undo_key())
    if stored is None:
        return None
    before = answer_policy.unpack(stored)
    return before if before.changes + 1 == answer_policy.read(rows).changes else None


def _undo_key() -> str:
    return f"answer_policy_before_{current_operator().id}"
