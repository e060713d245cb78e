"""How the first operator comes to be: through a link that works once, or from a setting on unattended deploys."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request

from webchat.accounts import hash_password
from webchat.config import ConfigurationError
from webchat.storage import audit, operators, settings
from webchat.storage.database import Conflict
from webchat.web.admin.auth import admin_address, open_session
from webchat.web.admin.forms import SetUpForm
from webchat.web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from webchat.storage.database import Database, Session
    from webchat.storage.tables import Operator

bp = Blueprint("setup", __name__)

_TOKEN = "admin_setup"  # noqa: S105 - the name of a setting, which holds the token's hash
_DEPLOYED_NAME = "admin"


def issue_setup_token(database: Database) -> str | None:
    """Make the token of a new set-up link, which ends the link before; None when there is an operator."""
    token = secrets.token_urlsafe(32)
    with database.read() as rows:  # so that a read-only database that has an operator can be served
        if operators.any_exist(rows):
            return None
    with database.write() as rows:
        if operators.any_exist(rows):
            return None
        settings.put(rows, _TOKEN, _digest(token))
    return token


def ensure_admin_password(database: Database, password: str) -> None:
    """Add the operator ``admin`` with this password unless there is one, whose password then stays.

    Raises:
        ConfigurationError: the password is too short or too long.
    """
    with database.read() as rows:
        if operators.by_name(rows, _DEPLOYED_NAME):
            return
    try:
        password_hash = hash_password(password)
    except ValueError as error:
        raise ConfigurationError(f"WEBCHAT_ADMIN_PASSWORD cannot be used. {error}") from None
    with suppress(Conflict), database.write() as rows:  # a conflict: another process was faster
        _add(rows, _DEPLOYED_NAME, password_hash)


@bp.route("/setup", methods=["GET", "POST"])
def set_up() -> ResponseReturnValue:
    """Let the holder of the link become the first operator."""
    form = SetUpForm(token=request.args.get("token"))
    if not _usable(form.token.data):
        return _dead_link()
    if not form.is_submitted():
        return render_template("admin/set_up.html", form=form)
    if not form.validate():
        return render_template("admin/set_up.html", form=form), HTTPStatus.UNPROCESSABLE_ENTITY
    operator = _first_operator(form.token.data, form.name.data, form.password.data)
    if operator is None:
        return _dead_link()
    open_session(operator)
    return redirect(admin_address(None), code=303)


def _first_operator(token: str, name: str, password: str) -> Operator | None:
    """Spend the token; None for all but one of those who try at once."""
    password_hash = hash_password(password)
    with services().database.write() as rows:
        if not _is_valid(rows, token) or not settings.remove(rows, _TOKEN):
            return None
        return _add(rows, name, password_hash)


def _add(rows: Session, name: str, password_hash: str) -> Operator:
    operator = operators.add(rows, name, password_hash)
    audit.record(rows, name, "operator.add", name)
    return operator


def _usable(token: str | None) -> bool:
    with services().database.read() as rows:
        return _is_valid(rows, token or "")


def _is_valid(rows: Session, token: str) -> bool:
    issued = settings.get(rows, _TOKEN)
    return isinstance(issued, str) and hmac.compare_digest(issued, _digest(token)) and not operators.any_exist(rows)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _dead_link() -> ResponseReturnValue:
    with services().database.read() as rows:
        anyone = operators.any_exist(rows)
    return render_template("admin/dead_link.html", anyone=anyone), HTTPStatus.GONE
