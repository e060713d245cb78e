"""The page behind the link that makes the first operator."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Blueprint, redirect, render_template, request

from webchat.accounts import hash_password
from webchat.storage import first_operator, operators
from webchat.web.admin.auth import admin_address, open_session
from webchat.web.admin.forms import SetUpForm
from webchat.web.services import services

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

    from webchat.storage.tables import Operator

bp = Blueprint("setup", __name__)


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
    operator = _become(form.token.data, form.name.data, form.password.data)
    if operator is None:
        return _dead_link()
    open_session(operator)
    return redirect(admin_address(None), code=303)


def _become(token: str, name: str, password: str) -> Operator | None:
    """Spend the token; None for all but one of those who try at once."""
    password_hash = hash_password(password)
    with services().database.write() as rows:
        return first_operator.add_with_token(rows, token, name, password_hash)


def _usable(token: str | None) -> bool:
    with services().database.read() as rows:
        return first_operator.is_valid(rows, token or "")


def _dead_link() -> ResponseReturnValue:
    with services().database.read() as rows:
        anyone = operators.any_exist(rows)
    return render_template("admin/dead_link.html", anyone=anyone), HTTPStatus.GONE
