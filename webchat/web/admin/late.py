"""Forms that outlived their session: nothing is done, nothing typed is lost, and the answer says why."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from flask import flash, g, redirect, render_template, request
from flask_babel import gettext as _

from webchat.web.admin.auth import sign_in_address, signed_in_operator
from webchat.web.errors import respond

if TYPE_CHECKING:
    from flask.typing import ResponseReturnValue
    from werkzeug.exceptions import HTTPException


class FormAsSent(Protocol):
    """A view's way to show a form that was sent."""

    def __call__(self, *, signed_out: bool) -> str:
        """The page with what was sent in it; to who is signed out, nothing that is stored."""


def answer_late(error: HTTPException, fragment: str, form_as_sent: FormAsSent | None = None) -> ResponseReturnValue:
    """Answer a form whose session or CSRF token is no longer good.

    Args:
        error: what was wrong with it.
        fragment: the template for HTMX; ``sign_in`` leads to the sign-in page when that is needed.
        form_as_sent: where something was typed.
    """
    g.operator = signed_in_operator()  # the CSRF token is looked at before the guard of these pages
    signed_out = g.operator is None
    status = HTTPStatus.UNAUTHORIZED if signed_out else HTTPStatus.BAD_REQUEST
    if "HX-Request" in request.headers:
        return render_template(fragment, sign_in=sign_in_address() if signed_out else None), status
    if form_as_sent:
        return form_as_sent(signed_out=signed_out), status
    if not signed_out:
        return respond(error)
    flash(_("You are signed out, so nothing was changed. Sign in and try again."), "refused")
    return redirect(sign_in_address(), code=303)
