"""Who is an operator: signing in and out, and the guard before every page under ``/admin``.

The cookie names the operator, the epoch they signed in under, and when that ends. A new password begins a new
epoch in the operator's row, which voids every cookie of the old one at its next request.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import structlog
from flask import Blueprint, Response, g, make_response, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_limiter.util import get_remote_address
from werkzeug.exceptions import Unauthorized

from webchat.accounts import MAX_NAME_CHARS, operator_name, verify_password
from webchat.storage import audit, operators
from webchat.web.admin.forms import SignInForm
from webchat.web.limits import limiter
from webchat.web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from werkzeug.exceptions import HTTPException
    from werkzeug.wrappers import Response as BaseResponse

    from webchat.storage.tables import Operator

log = structlog.get_logger(__name__)
bp = Blueprint("auth", __name__)

OPEN_TO_ALL = {"admin.auth.sign_in", "admin.auth.sign_out", "admin.setup.set_up"}
_SIGNED_IN_SECONDS = 14 * 24 * 3600
_OPERATOR_KEYS = ("operator_id", "operator_epoch", "operator_until")
# Everything else goes at a sign-in, above all the CSRF token: someone else may have put it into this browser.
_KEPT_KEYS = ("visitor_id", "language", "_permanent")
_ADMIN_ADDRESS = re.compile(r"/admin/[^\\\x00-\x20\x7f]*")


class SignedOut(Unauthorized):
    """A form was sent by someone who is no operator, or no longer."""


def _name_typed() -> str:
    """The name as it is looked up: another spelling of it must not count as another name."""
    typed = request.form.get("name", "")[:MAX_NAME_CHARS]
    try:
        return f"name {operator_name(typed)}"
    except ValueError:
        return "name"


def _name_and_address() -> str:
    return f"{_name_typed()} from {get_remote_address()}"


@bp.route("/sign-in", methods=["GET", "POST"])
@limiter.limit("10 per minute", key_func=get_remote_address, methods=["POST"])
@limiter.limit("5 per minute", key_func=_name_and_address, methods=["POST"])
@limiter.limit("100 per hour", key_func=_name_typed, methods=["POST"])  # loose, or strangers could lock someone out
def sign_in() -> ResponseReturnValue:
    """Sign in with name and password."""
    form = SignInForm(next=request.args.get("next"))
    if g.operator:
        return redirect(admin_address(form.next.data), code=303)
    if not form.is_submitted():
        return _sign_in_page(form)
    operator = _authenticated(form.name.data or "", form.password.data or "")
    if operator is None:
        log.warning("sign-in refused", address=request.remote_addr)
        return _sign_in_page(form, _("Name or password is wrong.")), HTTPStatus.UNAUTHORIZED
    open_session(operator)
    return redirect(admin_address(form.next.data), code=303)


@bp.post("/sign-out")
def sign_out() -> BaseResponse:
    """End the operator's sessions, here and in every other browser: a copied cookie must not outlive this."""
    if (operator := g.operator) is not None:
        with services().database.write() as rows:
            operators.end_sessions(rows, operator.id)
            audit.record(rows, operator.name, "operator.sign_out", operator.name)
    for key in (*_OPERATOR_KEYS, "csrf_token"):
        session.pop(key, None)
    return redirect(url_for("admin.auth.sign_in"), code=303)


@bp.errorhandler(HTTPStatus.TOO_MANY_REQUESTS)
def too_many_attempts(_error: HTTPException) -> Response:
    """Say how long to wait, and keep the name that was typed."""
    limit = limiter.current_limit
    seconds = max(1, int(limit.reset_at - time.time())) if limit else 60
    page = _sign_in_page(SignInForm(), _("Too many attempts. Try again in %(seconds)d seconds.", seconds=seconds))
    return make_response(page, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(seconds)})


def require_operator() -> BaseResponse | None:
    """Let operators pass and send everyone else to the sign-in page. Runs before every view under ``/admin``.

    Raises:
        SignedOut: a form was sent.
    """
    g.operator = signed_in_operator()
    if g.operator or request.endpoint in OPEN_TO_ALL:
        return None
    if request.method == "POST":
        raise SignedOut
    sign_in_page = sign_in_address()
    if request.headers.get("HX-Request"):  # fetch would follow a redirect and swap the page into a fragment's place
        return Response(status=HTTPStatus.UNAUTHORIZED, headers={"HX-Redirect": sign_in_page})
    return redirect(sign_in_page, code=303)


def signed_in_operator() -> Operator | None:
    """Who this browser's cookie names, as long as it holds."""
    operator_id, epoch, until = (session.get(key) for key in _OPERATOR_KEYS)
    if not isinstance(operator_id, int) or not isinstance(until, int) or until < time.time():
        return None
    with services().database.read() as rows:
        operator = operators.by_id(rows, operator_id)
    return operator if operator and operator.session_epoch == epoch else None


def sign_in_address() -> str:
    """The sign-in page, from which one comes back to the page in the browser."""
    return url_for("admin.auth.sign_in", next=_address_in_the_browser())


def current_operator() -> Operator:
    """The operator who is signed in."""
    return cast("Operator", g.operator)


def open_session(operator: Operator) -> None:
    """Make this browser the operator's."""
    kept = {key: session[key] for key in _KEPT_KEYS if key in session}
    session.clear()
    until = int(time.time()) + _SIGNED_IN_SECONDS
    session.update(kept, operator_id=operator.id, operator_epoch=operator.session_epoch, operator_until=until)


def admin_address(wanted: str | None) -> str:
    """The wanted address if it is one of our admin pages, else the list of entries."""
    if wanted and _ADMIN_ADDRESS.fullmatch(wanted):
        return wanted
    return url_for("admin.faq.entries_page")


def _sign_in_page(form: SignInForm, problem: str | None = None) -> str:
    with services().database.read() as rows:
        anyone = operators.any_exist(rows)
    return render_template("admin/sign_in.html", form=form, problem=problem, anyone=anyone)


def _authenticated(name: str, password: str) -> Operator | None:
    operator = None
    with suppress(ValueError), services().database.read() as rows:
        operator = operators.by_name(rows, operator_name(name))
    if not verify_password(password, operator.password_hash if operator else None) or operator is None:
        return None
    with services().database.write() as rows:
        operator = operators.by_id(rows, operator.id)
        if operator is not None:
            operators.signed_in(rows, operator)
            audit.record(rows, operator.name, "operator.sign_in", operator.name)
    return operator


def _address_in_the_browser() -> str | None:
    """Where to come back to: the page, not the fragment that HTMX asked for, and nothing that only takes a POST."""
    if shown := request.headers.get("HX-Current-URL"):
        parts = urlsplit(shown)
        return f"{parts.path}?{parts.query}" if parts.query else parts.path
    return request.full_path.rstrip("?") if request.method == "GET" else None
